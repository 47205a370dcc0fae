"""Quantities; the tables are those of k8s.io/apimachinery v0.35, pkg/api/resource/quantity_test.go."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import ExpressionError
from tiphys.lang.quantity import parse_quantity

QUANTITIES = [
    ("0", "0"), ("0n", "0"), ("0Ki", "0"), ("0T", "0"), ("1", "1"),
    ("1Ki", "1024"), ("8Ki", "8192"), ("7Mi", "7340032"), ("6Gi", "6442450944"), ("5Ti", "5497558138880"),
    ("4Pi", "4503599627370496"), ("3Ei", "3458764513820540928"), ("100Ti", "109951162777600"),
    ("5n", "5e-9"), ("4u", "4e-6"), ("3m", "3e-3"), ("9", "9"), ("8k", "8e3"), ("50k", "5e4"), ("7M", "7e6"),
    ("6G", "6e9"), ("5T", "5e12"), ("300T", "3e14"), ("2P", "2e15"), ("1E", "1e18"),
    ("1E-3", "1e-3"), ("1e3", "1e3"), ("1E6", "1e6"), ("1E18", "1e18"), ("1e14", "1e14"), ("100.035k", "100035"),
    ("0.001", "1e-3"), ("0.0005k", "0.5"), ("0.00500", "5e-3"), ("0.5e0", "0.5"), ("0.5e-2", "5e-3"),
    ("10.035M", "10035e3"), ("1.2e3", "1200"), ("1.3E+6", "13e5"), ("1.7E18", "17e17"), ("9.01", "9.01"),
    ("7.123456M", "7123456"), ("6.987654321G", "6987654321"), ("1.01E", "101e16"),
    ("3.001n", "4e-9"), ("1.1E-9", "2e-9"), ("0.0000000001", "1e-9"), ("0.5e-9", "1e-9"), ("0.9n", "1e-9"),
    ("0.00000012345", "124e-9"), ("0.00000012354", "124e-9"), ("-0.1n", "-1e-9"),
    ("9Ei", "9223372036854775807"), ("9223372036854775807Ki", "9223372036854775807"), ("12E", "12e18"),
    ("-9Ei", "-9223372036854775807"),
    ("100.035Ki", "102435.84"), ("0.5Mi", "524288"), ("0.05Gi", "53687091.2"), ("0.025Ti", "27487790694.4"),
    ("0.000000000001Ki", "2e-9"), (".001", "1e-3"), (".0001k", "0.1"), ("1.", "1"), ("1.G", "1e9"),
    ("-1.025Ki", "-1049.6"), ("+2k", "2000"), ("1.5Gi", "1610612736"),
]  # fmt: skip

NO_QUANTITIES = [
    "", "1.1.M", "1+1.0M", "0.1mi", "0.1am", "aoeu", ".5i", "1i", "-3.01i", "-3.01e-", " 1", "1 ", ".", "-", "Ki",
    "1Ki5", "1k+3", "1e", "1e101", "9" * 101, "\u0661", "1,5",
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), QUANTITIES)
def test_parses(text: str, expected: str) -> None:
    assert parse_quantity(text) == Decimal(expected)


@pytest.mark.parametrize("text", NO_QUANTITIES)
def test_refuses(text: str) -> None:
    with pytest.raises(ExpressionError, match="is not a quantity"):
        parse_quantity(text)


@given(st.integers(-(10**30), 10**30))
def test_whole_numbers_are_exact_and_plain(number: int) -> None:
    assert str(parse_quantity(str(number))) == str(number)
    assert str(parse_quantity(f"{number}k")) == str(number * 1000)


@given(st.integers(0, 2**50), st.sampled_from(["Ki", "Mi"]))
def test_a_larger_unit_is_1024_of_the_smaller(number: int, unit: str) -> None:
    smaller = {"Ki": "", "Mi": "Ki"}[unit]
    assert parse_quantity(f"{number}{unit}") == min(parse_quantity(f"{number}{smaller}") * 1024, 2**63 - 1)
