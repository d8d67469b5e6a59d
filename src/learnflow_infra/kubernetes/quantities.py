"""Kubernetes' quantities as numbers.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from decimal import ROUND_UP, Context, Decimal

_FORM = re.compile(
    r"(?P<number>[+-]?(\d+\.?\d*|\.\d+))"
    r"((?P<decimal>[numkMGTPE]?)|(?P<binary>[KMGTPE]i)|[eE](?P<exponent>[+-]?\d+))",
    re.ASCII,
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_LEAST, _MOST = Decimal("1e-9"), Decimal(2**63 - 1)
_EXACT = Context(prec=100, traps=[])  # what is larger still is infinite, and what is smaller zero


def amount(written: object) -> Decimal:
    """The same of what may be odd: nothing where nothing, or no quantity, is written."""
    try:
        return quantity(written) if isinstance(written, (str, int)) else Decimal(0)
    except ValueError:
        return Decimal(0)


def quantity(written: str | int) -> Decimal:
    """The number of cores or bytes that a quantity means, such as 0.25 of `250m`.

    As in the API, the magnitude is rounded up to a billionth, and is 2^63 - 1 at most. Raises
    ValueError for what is no quantity.
    """
    match = _FORM.fullmatch(str(written))
    if match is None:
        raise ValueError(f"{str(written)[:50]!r} is not a Kubernetes quantity")
    if match["binary"]:
        factor = Decimal(2 ** _BINARY[match["binary"]])
        value = _EXACT.multiply(_EXACT.create_decimal(match["number"]), factor)
    else:
        exponent = match["exponent"] or _DECIMAL[match["decimal"] or ""]
        value = _EXACT.create_decimal(f"{match['number']}e{exponent}")
    if not match["number"].strip("+-0."):
        return Decimal(0)
    magnitude = min(max(value.copy_abs(), _LEAST), _MOST)
    return magnitude.quantize(_LEAST, ROUND_UP, _EXACT).copy_sign(value)
