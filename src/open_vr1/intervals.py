"""How far a share of questions can be trusted."""

import math


def wilson_interval(share: float, count: float) -> tuple[float, float]:
    """Wilson's 95% interval of a share of `count`: unlike the textbook one it stays within 0 and 1."""
    z2 = 1.959964**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    reach = math.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count * count))) / (1 + z2 / count)
    return max(0.0, middle - reach), min(1.0, middle + reach)
