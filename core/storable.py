"""What every store takes as a value: Bolt, SQLite and PostgreSQL each refuse something, and only when it arrives."""

from math import isfinite


def is_storable(value: str | float) -> bool:
    """Whether all stores keep it: text without NUL and halves of pairs, whole numbers of 64 bits, finite ones."""
    if isinstance(value, str):
        return not any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value)
    return -(2**63) <= value < 2**63 if isinstance(value, int) else isfinite(value)
