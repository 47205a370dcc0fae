"""The map of sprig's functions as a whole, and the functions without a theme."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tiphys.errors import ExpressionError
from tiphys.lang.sprig.functions import function_map

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

#: sprig v3.3, functions.go: genericMap without env, expandenv and getHostByName.
NAMES = """
    hello ago date date_in_zone date_modify dateInZone dateModify duration durationRound htmlDate htmlDateInZone
    must_date_modify mustDateModify mustToDate now toDate unixEpoch abbrev abbrevboth trunc trim upper lower title
    untitle substr repeat trimall trimAll trimSuffix trimPrefix nospace initials randAlphaNum randAlpha randAscii
    randNumeric swapcase shuffle snakecase camelcase kebabcase wrap wrapWith contains hasPrefix hasSuffix quote
    squote cat indent nindent replace plural sha1sum sha256sum sha512sum adler32sum toString atoi int64 int
    float64 seq toDecimal split splitList splitn toStrings until untilStep add1 add sub div mod mul randInt add1f
    addf subf divf mulf biggest max min maxf minf ceil floor round join sortAlpha default empty coalesce all any
    compact mustCompact fromJson toJson toPrettyJson toRawJson mustFromJson mustToJson mustToPrettyJson
    mustToRawJson ternary deepCopy mustDeepCopy typeOf typeIs typeIsLike kindOf kindIs deepEqual base dir clean
    ext isAbs osBase osClean osDir osExt osIsAbs b64enc b64dec b32enc b32dec tuple list dict get set unset hasKey
    pluck keys pick omit merge mergeOverwrite mustMerge mustMergeOverwrite values append push mustAppend mustPush
    prepend mustPrepend first mustFirst rest mustRest last mustLast initial mustInitial reverse mustReverse uniq
    mustUniq without mustWithout has mustHas slice mustSlice concat dig chunk mustChunk bcrypt htpasswd
    genPrivateKey derivePassword buildCustomCert genCA genCAWithKey genSelfSignedCert genSelfSignedCertWithKey
    genSignedCert genSignedCertWithKey encryptAES decryptAES randBytes uuidv4 semver semverCompare fail regexMatch
    mustRegexMatch regexFindAll mustRegexFindAll regexFind mustRegexFind regexReplaceAll mustRegexReplaceAll
    regexReplaceAllLiteral mustRegexReplaceAllLiteral regexSplit mustRegexSplit regexQuoteMeta urlParse urlJoin
"""


def test_the_names_are_those_of_sprig() -> None:
    assert sorted(function_map(NOW, b"")) == sorted(NAMES.split())


def test_hello_now_and_fail() -> None:
    functions = function_map(NOW, b"")
    assert functions["hello"]() == "Hello!"
    assert functions["now"]() == NOW
    with pytest.raises(ExpressionError, match="no such luck"):
        functions["fail"]("no such luck")


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("trunc", ("3", "abc"), "sprig.trunc: argument 1 is of type string, int is expected"),
        ("trunc", (True, "abc"), "argument 1 is of type bool"),
        ("trunc", (3,), "sprig.trunc takes 2 arguments, 1 were given"),
        ("upper", ("a", "b"), "sprig.upper takes 1 arguments"),
        ("ternary", ("a", "b", 1), "argument 3 is of type int, bool is expected"),
        ("mul", (), "at least 1 arguments"),
        ("keys", ({}, []), "argument 2 is of type []interface {}, map"),
        ("unixEpoch", ("2020",), "time.Time is expected"),
        ("seq", (1, 2.0), "argument 2 is of type float64"),
        ("round", (1.5, 1, True), "argument 3 is of type bool"),
    ],
)
def test_arguments_are_checked(name: str, args: tuple[object, ...], message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        function_map(NOW, b"")[name](*args)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("repeat", (1_000_001, "a")),
        ("repeat", (600_000, "ab")),
        ("until", (1_000_002,)),
        ("untilStep", (0, -(10**30), -1)),
        ("seq", (10**12,)),
        ("randAlpha", (1_000_001,)),
        ("randBytes", (1_000_001,)),
        ("indent", (1_000_001, "a")),
        ("nindent", (400_000, "a\nb\nc")),
        ("join", ("a" * 2000, ["b"] * 1000)),
        ("wrapWith", (1, "a" * 2000, "b" * 1000)),
        ("replace", ("a", "b" * 2000, "a" * 1000)),
    ],
)
def test_sizes_are_bounded(name: str, args: tuple[object, ...]) -> None:
    with pytest.raises(ExpressionError, match="at most 1000000 are allowed"):
        function_map(NOW, b"")[name](*args)


def test_what_go_never_meets_is_an_error_too() -> None:
    functions = function_map(NOW, b"")
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    for name in ("toRawJson", "toString", "deepCopy"):
        with pytest.raises(ExpressionError, match="nested too deeply"):
            functions[name](deep)
    with pytest.raises(ExpressionError, match="not Unicode"):
        functions["sha256sum"]("\ud800")


def test_as_in_the_examples_of_argo() -> None:
    functions = function_map(
        NOW, b""
    )  # expression-reusing-verbose-snippets.yaml, expression-tag-template-workflow.yaml
    temperatures = [34.0, 27.0, 15.0, 57.0, 46.0]
    assert functions["b64dec"]("eyJ0ZW1wcyI6IFszNCwgMjcsIDE1LCA1NywgNDZdfQo=") == '{"temps": [34, 27, 15, 57, 46]}\n'
    assert [functions[name](*temperatures) for name in ("add", "min", "max")] == [179, 15, 57]
    assert functions["date"]("2006", NOW) == "2026"


def test_time_is_that_given() -> None:
    later = function_map(NOW + timedelta(hours=1), b"")
    assert later["ago"](NOW) == "1h0m0s"
