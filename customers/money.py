"""Money as files write it, decimal text in whole units of its currency, and as we keep it, whole minor units."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic import Field as Setting

# ISO 4217: the currencies whose minor unit is not a hundredth.
MINOR_DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV"), 0),
    **dict.fromkeys(("XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
HUNDREDTHS = 2
AMOUNT = re.compile(r"(-?)([0-9]{1,13})(?:\.([0-9]{1,3}))?")


def amount_text(value: Any) -> str:
    """The text of an amount; raises ValueError for a number, which a reader may have rounded by now."""
    if not isinstance(value, str) or not AMOUNT.fullmatch(value):
        raise ValueError('an amount as text, such as "1234.50"')
    return value


Amount = Annotated[str, BeforeValidator(amount_text)]
Currency = Annotated[str, Setting(pattern=r"^[A-Z]{3}$")]


def minor_units(amount: str, digits: int = HUNDREDTHS) -> int:
    """The amount in minor units, exactly; raises ValueError where it has more decimals than the currency."""
    match = AMOUNT.fullmatch(amount)
    if match is None:
        raise ValueError('an amount as text, such as "1234.50"')
    sign, whole, decimals = match[1], match[2], match[3] or ""
    if len(decimals.rstrip("0")) > digits:
        raise ValueError(f"an amount with {digits} decimals at most")
    units = int(whole + decimals[:digits].ljust(digits, "0"))
    return -units if sign else units


def minor_of(amount: str, currency: str) -> int:
    """Likewise, with as many decimals as the currency has."""
    return minor_units(amount, MINOR_DIGITS.get(currency, HUNDREDTHS))
