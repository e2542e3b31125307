"""What a licence's name says of its use: whether it is non-commercial, and whether anybody knows it."""

import re

NON_COMMERCIAL = re.compile(r"(^|[^a-z])(nc|non[- ]?commercial|research[- ]only)([^a-z]|$)", re.IGNORECASE)


def is_non_commercial(name: str | None) -> bool:
    return bool(name and NON_COMMERCIAL.search(name))


def is_unknown(name: str | None) -> bool:
    return (name or "unknown").strip().lower() in ("unknown", "other", "")
