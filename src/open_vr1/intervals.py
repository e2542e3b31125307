"""How far a share of questions can be trusted, of one run and of several."""

import math
from dataclasses import dataclass

import numpy as np

Z = 1.959964


def wilson_interval(share: float, count: float) -> tuple[float, float]:
    """Wilson's 95% interval of a share of `count`: unlike the textbook one it stays within 0 and 1."""
    z2 = Z**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    reach = math.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count * count))) / (1 + z2 / count)
    return max(0.0, middle - reach), min(1.0, middle + reach)


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and questions, with its 95% interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def pooled_accuracy(right: np.ndarray) -> Estimate:
    """
    The accuracy that another run on other questions would have, from runs that answered the same questions.

    Runs that answer the same questions are not as many questions more: both the seeds and the questions are a sample, and the
    interval allows for both (a random-effects analysis of variance with two crossed factors, Satterthwaite's degrees of
    freedom). With few seeds it is wide where seeds differ. One run alone knows nothing about other seeds: its interval is
    Wilson's, for other questions only.

    Args:
        right (`np.ndarray` of shape `(seeds, questions)`):
            1 where the answer is right.
    """
    right = np.asarray(right, dtype=float)
    share = float(right.mean())
    reach, most = _reach(right), right.size
    # As many independent questions as would leave the same interval, so that it stays within 0 and 1.
    count = min(most, share * (1 - share) * Z**2 / reach**2) if reach else right.shape[1]
    return Estimate(share, *wilson_interval(share, count))


def paired_difference(right: np.ndarray, baseline: np.ndarray) -> Estimate:
    """
    How much higher an accuracy is than another on the same questions, question by question and seed by seed.

    Args:
        right (`np.ndarray` of shape `(seeds, questions)`):
            1 where the answer is right.
        baseline (`np.ndarray` of the same shape):
            The same for what it is compared with.
    """
    difference = np.asarray(right, dtype=float) - np.asarray(baseline, dtype=float)
    value, reach = float(difference.mean()), _reach(difference)
    return Estimate(value, value - reach, value + reach)


def _reach(values: np.ndarray) -> float:
    """Half the 95% interval of the mean of `(seeds, questions)`, both of them samples."""
    seeds, questions = values.shape
    if questions == 1:
        return 0.0
    if seeds == 1:
        return student_t(questions - 1) * float(values.std(ddof=1)) / math.sqrt(questions)
    by_seed, by_question, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
    rest = values - by_seed[:, None] - by_question + mean
    squares = (
        questions * float(by_seed.var(ddof=1)),
        seeds * float(by_question.var(ddof=1)),
        float((rest**2).sum()) / ((seeds - 1) * (questions - 1)),
    )
    freedom = (seeds - 1, questions - 1, (seeds - 1) * (questions - 1))
    # Never below either part alone: where one is smaller than the rest by chance, it is taken as nothing.
    total = max(squares[0] + squares[1] - squares[2], squares[0], squares[1])
    if total == 0:
        return 0.0
    satterthwaite = total**2 / sum(square**2 / free for square, free in zip(squares, freedom, strict=True))
    return student_t(max(seeds - 1, satterthwaite)) * math.sqrt(total / values.size)


def student_t(freedom: float) -> float:
    """The 97.5% quantile of Student's t."""
    # With t = sqrt(freedom) tan(angle), the density is a power of the cosine, which sums well.
    angles = np.linspace(0, math.pi / 2, 20_001)[:-1]
    density = np.cos(angles) ** (freedom - 1)
    area = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return math.sqrt(freedom) * math.tan(float(np.interp(0.95 * area[-1], area, angles)))
