"""Numbers in prose: their pattern, value and the unit of their last digit."""

import math

# digits are counted out, so that no README is slow to read
NUMBER = r"(?<![\d.])[-+−]?\d{1,20}(?:\.\d{1,20})?(?:[eE][-+−]?\d{1,4})?"


def as_float(text: str) -> float:
    value = float(text.replace("−", "-"))
    return value if math.isfinite(value) else 0.0


def unit_of(number: str) -> float:
    """One unit of the last printed digit: of 5.86e-07, 1e-9."""
    mantissa, _, exponent = number.replace("−", "-").lower().partition("e")
    return 10.0 ** (min(max(int(exponent or 0), -300), 300) - len(mantissa.partition(".")[2]))
