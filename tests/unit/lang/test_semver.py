"""Semantic versions; the tables carry over values of Masterminds/semver's version_test.go and constraints_test.go."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import ExpressionError
from tiphys.lang.semver import Version, compare, parse_version, satisfies

HOLDS = [
    ("=2.0.0", "2.0.0"),
    ("=2.0", "2.0.0 2.0.1"),
    ("4.1", "4.1.0"),
    ("!=4.1.0", "4.1.1"),
    ("!=4.1-alpha", "4.1.0"),
    ("!=4.1", "5.1.0"),
    ("<11", "0.1.0"),
    ("<1.1", "0.1.0"),
    ("<=11", "1.2.3 11.2.3"),
    ("<=1.1", "0.1.0 1.1.0 1.1.1"),
    (">1.1", "4.1.0"),
    (">0", "1"),
    (">0.0.0-0", "0.0.0-alpha"),
    (">1.2.3-alpha.1", "1.2.3-alpha.2 1.3.3-alpha.2"),
    (">11.1", "11.2.1"),
    (">=11", "11.1.2"),
    (">=11.1", "11.1.2"),
    (">=1.1", "4.1.0 1.1.0"),
    (">=0-0", "0.0.1-alpha 0.0.0-alpha"),
    (">=0.0-0", "0.0.1-alpha"),
    (">=0.0.0-0", "0.0.0-alpha 1.2.3 3.4.5-beta.1"),
    ("<0-z", "0.0.0-alpha"),
    (">=0", "0"),
    ("*", "1 4.5.6 1.2.3"),
    ("*-0", "1.2.3-alpha.1"),
    ("2.*", "2.1.1"),
    ("2.1.*", "2.1.1"),
    ("2", "2.1.1"),
    ("2.1", "2.1.1"),
    ("~1.2.3", "1.2.4 1.2.5"),
    ("~1.2", "1.2.4"),
    ("~1", "1.2.4 1.3.5 1.4"),
    ("~0.2.3", "0.2.5"),
    ("~1.2.3-beta.2", "1.2.3-beta.4 1.2.4-beta.2"),
    ("^1.2.3", "1.8.9"),
    ("^1.2.0-alpha.0", "1.2.1-alpha.1 1.2.1-alpha.0"),
    ("^1.2", "1.8.9"),
    ("^1", "1.8.9"),
    ("^0.2.3", "0.2.5"),
    ("^0.2", "0.2.5"),
    ("^0.0.3", "0.0.3"),
    ("^0.0", "0.0.3"),
    ("^0", "0.2.3"),
    ("^0.2.3-beta.2", "0.2.3-beta.4 0.2.4-beta.2 0.2.3-beta.2"),
    ("~0.0.0", "1.2.3"),
    ("= 2.0", "2.0.0"),
    ("4.1.x", "4.1.3"),
    ("1.x", "1.4"),
    ("!=4.x", "5.1.0"),
    ("!=4.1.x", "4.2.0"),
    ("<1.x", "0.1.1"),
    ("<1.1.x", "1.0.500"),
    ("<1.2.x", "1.1.1"),
    ("<=1.1-a", "0.1.0-alpha"),
    ("<=1.x", "1.1.0"),
    ("<=4.5", "3.4.0 3.7.0"),
    (">1.1, <2", "1.2.1"),
    (">1.1 <2", "1.2.1"),
    (">=1.1, <2, !=1.2.3 || > 3", "4.1.2"),
    (">=1.1, <2, !=1.2.3 || >= 3", "3.0.0"),
    (">=1.1 <2 !=1.2.3 || > 3", "4.1.2"),
    (">=1.1 <2 !=1.2.3 || >= 3", "3.0.0"),
    (">   1.1, <2", "1.2.1"),
    (">1.1 < 2", "1.2.1"),
    (">= 1.1, <2, !=1.2.3 || > 3", "4.1.2"),
    (">= 1.1, <2, != 1.2.3 || >= 3", "3.0.0"),
    (">= 1.1 <2 != 1.2.3 || > 3", "4.1.2"),
    (">= 1.1 <2 != 1.2.3 || >= 3", "3.0.0"),
    (">= 1.0.0  <= 2.0.0-beta", "1.0.1-beta 1.0.1"),
    (">= 1.0.0  <= 2.0.0-beta || > 3", "1.0.1-beta"),
    (">= 1.0.0  <= 2.0.0-beta != 1.0.1 || > 3", "1.0.1-beta"),
    (">= 1.0.0-0  <= 2.0.0", "1.0.1-beta"),
    ("1.1 - 2", "1.1.1"),
    ("1.5.0 - 4.5", "3.7.0"),
    ("^1.1", "1.1.1"),
    ("^1.x", "1.1.1"),
    ("^1.1.2-alpha", "1.2.1-beta1"),
    ("^0.0.1", "0.0.1"),
    ("~*", "2.1.1"),
    ("~1.x", "1.3.5 1.4"),
    ("~1.1", "1.1.1"),
    ("~1.1-alpha", "1.1.1-beta"),
    ("~1.1.1-beta", "1.1.1"),
    ("1.0.0 - 2.0.0 <=2.0.0", "1.5.0"),
    ("1.0.0 - 2.0.0, <=2.0.0", "1.5.0"),
]
FAILS = [
    ("=2.0.0", "1.2.3"),
    ("=2.0", "1.2.3"),
    ("!=4.1.0", "4.1.0 5.1.0-alpha.1"),
    ("!=4.1", "4.1.0 4.1.1 5.1.0-alpha.1"),
    ("<11", "11.1.0"),
    ("<1.1", "1.1.0 1.1.1"),
    ("<=11", "12.2.3"),
    ("<=1.1", "1.2.3 0.1.0-alpha"),
    (">1.1", "1.1.0"),
    (">0", "0 0.0.1-alpha 0.0.0-alpha"),
    (">0.0", "0.0.1-alpha"),
    (">0-0", "0.0.1-alpha 0.0.0-alpha"),
    (">0.0-0", "0.0.1-alpha"),
    (">11", "11.1.0"),
    (">11.1", "11.1.0 11.1.1"),
    (">=11.1", "11.0.2"),
    (">=1.1", "0.0.9 4.1.0-beta"),
    (">=0", "0.0.1-alpha 0.0.0-alpha"),
    (">=0.0", "0.0.1-alpha"),
    ("<0", "0.0.0-alpha"),
    ("=0", "1"),
    ("*", "1.2.3-alpha.1"),
    ("2.*", "1 3.4.5"),
    ("2.1.*", "2.2.1"),
    ("2", "1 3.4.5"),
    ("2.1", "2.2.1"),
    ("~1.2.3", "1.3.4 1.2.2 1.3.2"),
    ("~1.2", "1.3.4"),
    ("~1", "2.3.4 2.1.1"),
    ("~0.2.3", "0.3.5"),
    ("~1.2.3-beta.2", "1.3.4-beta.2"),
    ("^1.2.3", "2.8.9 1.2.1"),
    ("^1.1.0", "2.1.0"),
    ("^1.2.0", "2.2.1 1.2.1-alpha.1"),
    ("^1.2.0-alpha.2", "1.2.0-alpha.1"),
    ("^1.2", "2.8.9"),
    ("^1", "2.8.9"),
    ("^0.2.3", "0.5.6"),
    ("^0.2", "0.5.6"),
    ("^0.0.3", "0.0.4"),
    ("^0.0", "0.1.4 1.0.4"),
    ("^0", "1.1.4"),
    ("^0.2.3-beta.2", "0.3.4-beta.2"),
    ("0.x.x", "1.2.3"),
    ("0.0.x", "1.2.3"),
    ("0.0.0", "1.2.3"),
    ("^0.0.0", "1.2.3"),
    ("= 2.0", "1.2.3"),
    ("!=4.1-alpha", "4.1.0-alpha 4.1.1-alpha"),
    ("!=4.x", "4.1.0"),
    ("!=4.2.x", "4.2.3"),
    ("<1.x", "1.1.1 2.0.0"),
    ("<1.1.x", "1.2.1 1.1.500"),
    ("<=2.x", "3.0.0"),
    ("<=1.1.x", "1.2.500"),
    ("<=4.5", "4.6.3"),
    (">1.1, <2", "1.1.1"),
    (">1.1, <3", "4.3.2"),
    (">=1.1, <2, !=1.2.3", "1.2.3"),
    (">1.1 <2", "1.1.1"),
    (">1.1    <3", "4.3.2"),
    (">=1.1    <2    !=1.2.3", "1.2.3"),
    (">=1.1, <2, !=1.2.3 || > 3", "3.1.2 3.0.0 1.2.3"),
    (">=1.1 <2 !=1.2.3", "1.2.3"),
    (">=1.1 <2 !=1.2.3 || > 3", "3.1.2 3.0.0 1.2.3"),
    ("> 1.1, <     2", "1.1.1"),
    (">1.1, <  3", "4.3.2"),
    (">= 1.1, <     2, !=1.2.3", "1.2.3"),
    ("> 1.1 < 2", "1.1.1"),
    ("> 1.1    <3", "4.3.2"),
    (">=1.1    < 2    != 1.2.3", "1.2.3"),
    (">= 1.1, <2, != 1.2.3 || > 3", "3.1.2"),
    (">= 1.1, <2, !=1.2.3 || > 3", "3.0.0 1.2.3"),
    (">= 1.1 <2 != 1.2.3", "1.2.3"),
    (">= 1.1 <2 != 1.2.3 || > 3", "3.1.2"),
    (">= 1.1 < 2 !=1.2.3 || > 3", "3.0.0"),
    (">=1.1 < 2 !=1.2.3 || > 3", "1.2.3"),
    (">= 1.0.0  <= 2.0.0-beta", "3.0.0"),
    (">= 1.0.0  <= 2.0.0-beta || > 3", "3.0.1-beta"),
    (">= 1.0.0  <= 2.0.0-beta != 1.0.1-beta || > 3", "1.0.1-beta"),
    ("1.1-3", "4.3.2"),
    ("^1.1", "4.3.2"),
    ("^2.x", "1.1.1"),
    ("^1.x", "2.1.1 1.1.1-beta1"),
    ("^1.2.x-alpha", "1.1.1-beta1"),
    ("^0.0.1", "0.3.1"),
    ("~1.x", "2.1.1"),
    ("~1.1", "1.1.1-alpha 1.2.3"),
    ("~1.1.1-beta", "1.1.1-alpha"),
    ("~1.3", "2.4.5"),
]
GOOD = [
    "1.2.3",
    "1.2.3-alpha.01x",
    "1.2.3+test.01",
    "1.2.3-alpha.-1",
    "v1.2.3",
    "1",
    "v1",
    "1.2",
    "1.2-5",
    "v1.2.3+test",
    "1.2.0-x.Y.0+metadata-width-hyphen",
    "1.2.3-rc1-with-hyphen",
    "1.2.2147483648",
    "01.002.0003",
    "20221209-update-renovatejson-v4",
]
BAD = [
    "",
    "foo",
    "1.2.beta",
    "v1.2.beta",
    "foo1.2.3",
    "1.2.3.4",
    "v1.2.3-alpha.01",
    "1.2.3-",
    "1.2.3+",
    "1.2.3 ",
    "\u0661",
    "18446744073709551616",
    "1.2.3-beta..1",
    "1" * 2000,
]
COMPARED = [
    ("1.2.3", "1.5.1", -1),
    ("2.2.3", "1.5.1", 1),
    ("2.2.3", "2.2.2", 1),
    ("3.2-beta", "3.2-beta", 0),
    ("1.3", "1.1.4", 1),
    ("4.2", "4.2-beta", 1),
    ("4.2-beta", "4.2", -1),
    ("4.2-alpha", "4.2-beta", -1),
    ("4.2-alpha", "4.2-alpha", 0),
    ("4.2-beta.2", "4.2-beta.1", 1),
    ("4.2-beta2", "4.2-beta1", 1),
    ("4.2-beta", "4.2-beta.2", -1),
    ("4.2-beta", "4.2-beta.foo", -1),
    ("4.2-beta.2", "4.2-beta", 1),
    ("4.2-beta.foo", "4.2-beta", 1),
    ("1.2+bar", "1.2+baz", 0),
    ("1.0.0-beta.4", "1.0.0-beta.-2", -1),
    ("1.0.0-beta.-2", "1.0.0-beta.-3", -1),
    ("1.0.0-beta.-3", "1.0.0-beta.5", 1),
    ("1.0.0-99", "1.0.0-103", -1),
]


@pytest.mark.parametrize(("constraint", "versions"), HOLDS)
def test_holds(constraint: str, versions: str) -> None:
    assert [version for version in versions.split() if not satisfies(constraint, version)] == []


@pytest.mark.parametrize(("constraint", "versions"), FAILS)
def test_fails(constraint: str, versions: str) -> None:
    assert [version for version in versions.split() if satisfies(constraint, version)] == []


@pytest.mark.parametrize(
    "constraint",
    ["", ">= bar", "BAR >= 1.2.3", "12.3.4.1234", "12.3.34~ 1.2.3", "v1.2.3-beta.01", "1.2 ||", "1|2", "1 " * 600],
)
def test_improper_constraint(constraint: str) -> None:
    with pytest.raises(ExpressionError, match="improper constraint"):
        satisfies(constraint, "1.2.3")


@pytest.mark.parametrize("text", GOOD)
def test_good_version(text: str) -> None:
    assert parse_version(text).original == text


@pytest.mark.parametrize("text", BAD)
def test_bad_version(text: str) -> None:
    with pytest.raises(ExpressionError, match="version"):
        parse_version(text)


def test_parts() -> None:
    version = parse_version("v1.2-beta.1+build.7")
    assert version == Version(1, 2, 0, "beta.1", "build.7", "v1.2-beta.1+build.7")
    assert str(version) == "1.2.0-beta.1+build.7"


@pytest.mark.parametrize(("left", "right", "order"), COMPARED)
def test_compare(left: str, right: str, order: int) -> None:
    assert compare(parse_version(left), parse_version(right)) == order


small = st.integers(0, 2)
versions = st.builds(Version, small, small, small, st.sampled_from(["", "alpha", "alpha.1", "alpha.10", "1", "beta"]))


@given(st.lists(versions, min_size=3, max_size=3))
def test_the_order_is_total(trio: list[Version]) -> None:
    for left, right in product(trio, trio):
        assert compare(left, right) == -compare(right, left)
    one, two, three = trio
    if compare(one, two) <= 0 and compare(two, three) <= 0:
        assert compare(one, three) <= 0


@given(versions, versions)
def test_comparisons_say_what_the_order_says(left: Version, right: Version) -> None:
    order = compare(left, right)
    for operator, holds in (("=", order == 0), ("!=", order != 0), (">", order > 0), ("<=", order <= 0)):
        # Without a pre-release in the constraint no pre-release meets it.
        if right.prerelease or not left.prerelease:
            assert satisfies(f"{operator}{right}", str(left)) is holds
