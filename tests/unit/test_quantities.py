"""Kubernetes' quantities, against its own grammar and what its own parser answered."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnflow_infra.kubernetes.quantities import quantity

DECIMAL = dict(
    zip(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), range(-9, 19, 3), strict=True)
)
BINARY = dict(zip(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), range(10, 61, 10), strict=True))
LEAST, MOST = Fraction(1, 10**9), Fraction(2**63 - 1)

digits = st.text("0123456789", min_size=1, max_size=12)
numbers = st.one_of(
    digits,
    st.tuples(digits, digits).map(".".join),
    digits.map("{}.".format),
    digits.map(".{}".format),
)
factors = st.one_of(
    st.sampled_from([(suffix, Fraction(10) ** power) for suffix, power in DECIMAL.items()]),
    st.sampled_from([(suffix, Fraction(2) ** power) for suffix, power in BINARY.items()]),
    st.tuples(st.sampled_from("eE"), st.integers(-40, 40)).map(
        lambda each: (f"{each[0]}{each[1]}", Fraction(10) ** each[1])
    ),
)


@given(sign=st.sampled_from(["", "+", "-"]), number=numbers, factor=factors)
def test_a_quantity_is_its_number_times_its_suffix(
    sign: str, number: str, factor: tuple[str, Fraction]
) -> None:
    exact = Fraction(f"0{number}0" if "." in number else number) * factor[1]
    expected = min(math.ceil(exact / LEAST) * LEAST, MOST)
    read = quantity(f"{sign}{number}{factor[0]}")
    assert Fraction(read) == (-expected if sign == "-" else expected)


@given(
    st.from_regex(
        r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]?|[eE][+-]?[0-9]+)", fullmatch=True
    )
)
def test_whatever_the_grammar_allows_can_be_counted_with(text: str) -> None:
    total = quantity(text) * 110 - quantity("1Ei") / 3
    assert f"{total:.0f}"


@given(st.text(max_size=20))
def test_anything_else_is_refused(text: str) -> None:
    try:
        value = quantity(text)
    except ValueError as error:
        assert "is not a Kubernetes quantity" in str(error)
    else:
        assert abs(value) <= MOST


@pytest.mark.parametrize(
    "text", ["", "1ki", "Mi", "e3", "1e", "1 Gi", "\u0661", "NaN", "1_0", "--1"]
)
def test_what_only_looks_like_a_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a Kubernetes quantity"):
        quantity(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("250m", "0.25"),
        (3, "3"),
        ("1E", "1e18"),
        ("1e3", "1000"),
        ("12e6", "12000000"),
        ("100m", "0.1"),
        ("-1Gi", str(-(2**30))),
        ("1Ei", str(2**60)),
        ("0.5Gi", str(2**29)),
        ("9Ei", str(2**63 - 1)),
        ("0.1n", "1e-9"),
        ("1e99999999999999999999", str(2**63 - 1)),
    ],
)
def test_quantities_are_read_as_kubernetes_writes_them(text: str | int, number: str) -> None:
    assert quantity(text) == Decimal(number)
