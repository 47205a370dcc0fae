"""Go's rules for values: numbers, equality, order, strings, nil. Facts: expr-lang v1.17, vm/runtime; Go's fmt."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tiphys.lang.expr.context import Context
from tiphys.lang.expr.durations import Duration, read_duration
from tiphys.lang.expr.faults import FaultError
from tiphys.lang.expr.program import compile_expression

NOW = datetime(2024, 2, 29, 23, 30, 15, 123456, tzinfo=UTC)
ENV: dict[str, Any] = {
    "m": {"i": 1, "f": 1.0, "s": "1", "t": True, "n": None, "l": [1, 2], "d": {"a": [1]}},
    "now_again": NOW.astimezone(timezone(timedelta(hours=1))),
    "b": b"ab\xff",
}


def value(source: str) -> Any:
    return compile_expression(source).run(ENV, Context(NOW))


NUMBERS = [
    ("9223372036854775807 + 1", -(2**63)),
    ("-9223372036854775807 - 2", 2**63 - 1),
    ("9223372036854775807 * 2", -2),
    ("-(-9223372036854775807 - 1)", -(2**63)),
    ("abs(-9223372036854775807 - 1)", -(2**63)),
    ("7 / 2", 3.5),
    ("4 / 2", 2.0),
    ("-7 % 3", -1),
    ("7 % -3", 1),
    ("2 ** 10", 1024.0),
    ("2 ** -1", 0.5),
    ("(-8) ** (1/3)", math.nan),
    ("(-2.0) ** 1025", -math.inf),
    ("0 ** -1", math.inf),
    ("1/0", math.inf),
    ("-1/0", -math.inf),
    ("0/0", math.nan),
    ("1 + 1.0", 2.0),
    ("3 * 0.5", 1.5),
    ("int(1e300)", -(2**63)),
    ("int(-1.9)", -1),
    ("int('-0042')", -42),
    ("int('+7')", 7),
    ("float('1e3')", 1000.0),
    ("float('.5')", 0.5),
    ("float('-Inf')", -math.inf),
    ("float('nan')", math.nan),
    ("float('0x1p-2')", 0.25),
    ("round(2.5)", 3.0),
    ("round(-2.5)", -3.0),
    ("round(0.49999999999999994)", 0.0),
    ("floor(-1.5)", -2.0),
    ("ceil(-0.5)", -0.0),
    ("1.5..3.9", [1, 2, 3]),
    ("bitand(-1, 0xFF)", 255),
    ("bitshl(1, 63)", -(2**63)),
    ("bitshl(1, 64)", 0),
    ("bitshr(-8, 100)", -1),
    ("bitushr(-1, 63)", 1),
    ("int(duration('1us'))", 1000),
]


@pytest.mark.parametrize(("source", "expected"), NUMBERS)
def test_numbers(source: str, expected: Any) -> None:
    if source == "1.5..3.9":
        source = "let r = get([1.5], 0); let s = get([3.9], 0); (r ?? 0)..(s ?? 0)"
    found = value(source)
    if isinstance(expected, float) and math.isnan(expected):
        assert math.isnan(found)
    else:
        assert (found, type(found), str(found)) == (expected, type(expected), str(expected))


EQUAL = [
    "1 == 1.0",
    "m.i == m.f",
    "m.i != m.s",
    "m.i != m.t",
    "[1, 'a', [2.0]] == [1.0, 'a', [2]]",
    "[1] != [1, 2]",
    "{a: 1} == {a: 1}",
    "{a: 1} != {a: 1.0}",  # inside maps the types count
    "{a: [1]} != {a: [1.0]}",
    "{a: 1} != {a: 1, b: 2}",
    "m.d == {a: [1]}",
    "nil == nil",
    "m.n == nil",
    "m.missing == nil",
    "m.i != nil",
    "0/0 != 0/0",
    "9007199254740993 == 9007199254740992.0",  # compared as floats
    "now() == now_again",
    "duration('60s') == duration('1m')",
    "duration('60s') != m.i",
    "b == [97, 98, 255]",
    "b[1] == 98 and b[-1:] == b'\\xff' and 97 in b",
]
ORDER = [
    "1 < 1.5",
    "'a' < 'b' and 'Z' < 'a' and 'a' < 'ä' and '\\uffff' < '\\U0001F600'",
    "now() <= now_again and now() >= now_again and not (now() < now_again)",
    "now() + duration('1ns') >= now()",
    "duration('1h') > duration('59m')",
    "not (0/0 < 1) and not (0/0 >= 1) and not (0/0 == 0/0)",
]
STRINGS = [
    "'héllo'[1:3] == 'é'",  # bytes, as in Go
    "'héllo'[1:2] == '\\ufffd'",
    "'héllo'[:-3] == 'hé'",
    "len('héllo') == 5",
    "indexOf('héllo', 'l') == 3",
    "lastIndexOf('éé', 'é') == 2",
    "indexOf('a', 'b') == -1",
    "m.s[0] == 49",
    "upper('straße ŉ') == 'STRAßE ŉ'",
    "upper('ǆ') == 'Ǆ'",
    "lower('ΟΔΟΣ İ') == 'οδοσ i'",
    "trim('\\u00a0\\u2003 a\\x1f\\n') == 'a\\x1f'",
    "trim('xxaxx', 'x') == 'a' and trim('xax', '') == 'xax'",
    "split('äbc', '') == ['ä', 'b', 'c']",
    "split('abc', '', 2) == ['a', 'bc']",
    "split('', ',') == [''] and split('', '') == []",
    "split('a,b', ',', 0) == [] and split('a,b', ',', -1) == ['a', 'b'] and split('a,b', ',', 1) == ['a,b']",
    "splitAfter('a,b,', ',') == ['a,', 'b,', '']",
    "replace('abc', '', '-') == '-a-b-c-'",
    "replace('aaa', 'a', 'b', 0) == 'aaa'",
    "trimPrefix(' a') == 'a' and trimSuffix('a ') == 'a'",
    "repeat('ab', 0) == ''",
    "not (m.n contains 'a') and not ('a' startsWith m.n) and not (m.n matches 'a') and not ('a' matches m.n)",
    "'abc' matches '(?i)B' and 'a\\nb' matches '(?s)a.b' and not ('abc' matches '^b')",
    "b matches 'ab'",
]
NIL = [
    "m?.i == 1",
    "m.n?.a.b.c == nil",
    "m.n?.a() == nil",
    "m.n?.[0]?.a == nil",
    "(m.missing ?? 2) == 2",
    "(m.n ?? m.missing ?? 3) == 3",
    "(m.f ?? 2) == 1",
    "get(m, 'nope') == nil and get([1], 3) == nil and get([1], -1) == 1 and get({a: 1}, 2) == nil",
    "first([]) == nil and last([]) == nil and find([1], # > 1) == nil and findIndex([1], # > 1) == nil",
    "findLast([1, 2], # > 0) == 2 and findLastIndex([1, 2], # > 0) == 1",
    "'i' in m and 'nope' not in m and not ('a' in m.n)",
    "max([]) == nil and sort(nil) == []",
]
PRINTED = [
    ("nil", "<nil>"),
    ("true", "true"),
    ("2.0", "2"),
    ("0.1 + 0.2", "0.30000000000000004"),
    ("1e20", "1e+20"),
    ("123456.0", "123456"),
    ("1234567.0", "1.234567e+06"),
    ("0.0001", "0.0001"),
    ("0.00001", "1e-05"),
    ("1/0", "+Inf"),
    ("0/0", "NaN"),
    ("[1, 'a', nil, [2.5]]", "[1 a <nil> [2.5]]"),
    ("{b: 1, a: {}}", "map[a:map[] b:1]"),
    ("duration('90m')", "1h30m0s"),
    ("now()", "2024-02-29 23:30:15.123456 +0000 UTC"),
    ("now().Month()", "February"),
    ("now().Weekday()", "Thursday"),
    ("b'a'", "[97]"),
    ("timezone('Europe/Zurich')", "Europe/Zurich"),
    ("groupBy([2, 1], #)", "map[1:[1] 2:[2]]"),
]
JSON = [
    ("{b: [], a: {}}", '{\n  "a": {},\n  "b": []\n}'),
    ("'<a&b>\\u2028\"\\n\\x7f'", '"\\u003ca\\u0026b\\u003e\\u2028\\"\\n\x7f"'),
    ("1e21", "1e+21"),
    ("1e20", "100000000000000000000"),
    ("0.000001", "0.000001"),
    ("0.0000001", "1e-7"),
    ("1.5e-10", "1.5e-10"),
    ("-0.0", "-0"),
    ("3.0", "3"),
    ("duration('1s')", "1000000000"),
    ("now()", '"2024-02-29T23:30:15.123456Z"'),
    ("b'ab'", '"YWI="'),
]
TYPES = [
    ("nil", "nil"),
    ("1", "int"),
    ("1.0", "float"),
    ("'a'", "string"),
    ("true", "bool"),
    ("[1]", "array"),
    ("b''", "array"),
    ("{}", "map"),
    ("now()", "time.Time"),
    ("duration('1s')", "time.Duration"),
    ("now().Month()", "time.Month"),
    ("now().Weekday()", "time.Weekday"),
    ("timezone('UTC')", "time.Location"),
    ("fromJSON('1')", "float"),
]
COLLECTIONS = [
    "keys({b: 1, a: 2}) == ['b', 'a'] and values({b: 1, a: 2}) == [1, 2]",
    "{a: 1, a: 2}.a == 1",  # the first one counts, as in Go's vm
    "toPairs({a: 1}) == [['a', 1]]",
    "fromPairs([[1, 2]])[1] == 2",
    "sort(['b', 'a']) == ['a', 'b'] and sort([2, 1.5, 3], 'desc') == [3, 2, 1.5]",
    "sortBy([[2, 'a'], [1, 'b'], [2, 'c']], #[0], 'desc') == [[2, 'a'], [2, 'c'], [1, 'b']]",
    "uniq([1, 1.0, '1', [1], [1.0]]) == [1, '1', [1]]",
    "reverse([1, 2]) == [2, 1] and concat([1], [], [2]) == [1, 2] and take([1, 2], 5) == [1, 2]",
    "one([1, 2], # > 1) and none([], false) and all([], false) and not any([], true)",
    "count([true, false]) == 1 and sum([]) == 0 and sum([1, 2], # * 2) == 6",
    "map([[1], [2]], {let x = #; map(x, # + len(x))}) == [[2], [3]]",
    "reduce(['a', 'b'], #acc + # + string(#index), '') == 'a0b1'",
    "reduce([1, 2, 3], #acc * 10 + #index) == 112",
    "filter([[1, 2], [3]], any(#, # > 2)) == [[3]]",
    "fromJSON('{\"a\": [1, \"\\\\ud800\"]}') == {a: [1.0, '\\ufffd']}",
    "type(fromJSON('[1]')[0]) == 'float'",
    "fromBase64(toBase64('äöü')) == 'äöü'",
]


@pytest.mark.parametrize("source", EQUAL + ORDER + STRINGS + NIL + COLLECTIONS)
def test_holds(source: str) -> None:
    assert value(source) is True


@pytest.mark.parametrize(("source", "expected"), PRINTED)
def test_printed(source: str, expected: str) -> None:
    assert value(f"string({source})") == expected


@pytest.mark.parametrize(("source", "expected"), JSON)
def test_json(source: str, expected: str) -> None:
    assert value(f"toJSON({source})") == expected


@pytest.mark.parametrize(("source", "expected"), TYPES)
def test_types(source: str, expected: str) -> None:
    assert value(f"type({source})") == expected


TIMES = [
    ("now() - duration('1h')", NOW - timedelta(hours=1)),
    ("duration('1h') + now()", NOW + timedelta(hours=1)),
    ("now() - date('2024-02-29')", Duration(84615123456000)),
    ("now().Year() * 10000 + now().Month() * 100 + now().Day()", 20240229),
    ("now().YearDay()", 60),
    ("int(now().Weekday())", 4),
    ("now().Month().String() + now().Weekday().String()", "FebruaryThursday"),
    ("now().Unix()", 1709249415),
    ("now().UnixMilli()", 1709249415123),
    ("now().AddDate(1, 0, 0).Format('2006-01-02')", "2025-03-01"),
    ("date('2024-01-31').AddDate(0, 1, 0).Format('2006-01-02')", "2024-03-02"),
    ("date('2024-01-01').AddDate(0, -13, -1).Format('2006-01-02')", "2022-11-30"),
    ("now().In(timezone('Asia/Tokyo')).Hour()", 8),
    ("now(timezone('Asia/Tokyo')).Format('15:04 -0700')", "08:30 +0900"),
    ("now().Truncate(duration('1h')).Format('15:04:05')", "23:00:00"),
    ("now().Round(duration('1h')).Format('2006-01-02 15:04')", "2024-03-01 00:00"),
    ("now().After(date('2024-01-01')) and now().Before(date('2025-01-01'))", True),
    ("now().Add(duration('1s')).Sub(now()).Milliseconds()", 1000),
    ("now().UTC().Location().String()", "UTC"),
    ("date('15:04:05').Hour()", 15),
    ("date('2023-08-14T00:00:00+02:00').UTC().Day()", 13),
    ("date('Mon, 02 Jan 2006 15:04:05 UTC').Minute()", 4),
    ("date(timezone('Europe/Zurich'), '2023-08-14').UTC().Format('2006-01-02 15')", "2023-08-13 22"),
    (
        "date('2024-03-31 01:59', '2006-01-02 15:04', 'Europe/Zurich') + duration('1m')",
        datetime(2024, 3, 31, 1, tzinfo=UTC),
    ),
    ("duration('90m').Hours()", 1.5),
    ("duration('-1.5s').Milliseconds()", -1500),
    ("duration('1m30s').Minutes() + duration('1s').Seconds()", 2.5),
    ("duration('1h25m').Round(duration('30m')).String()", "1h30m0s"),
    ("duration('-1h25m').Truncate(duration('30m')).Abs().String()", "1h0m0s"),
    ("duration('2s') * duration('2ns')", Duration(4 * 10**9)),
    ("duration('1s') * 1.5", 1.5e9),
]


@pytest.mark.parametrize(("source", "expected"), TIMES)
def test_times(source: str, expected: Any) -> None:
    assert value(source) == expected


DURATIONS = [
    ("0", 0, "0s"),
    ("1ns", 1, "1ns"),
    ("1us", 1000, "1µs"),
    ("1.5µs", 1500, "1.5µs"),
    ("1.1ms", 1_100_000, "1.1ms"),
    ("1h1m1.000000001s", 3661 * 10**9 + 1, "1h1m1.000000001s"),
    ("-2m", -120 * 10**9, "-2m0s"),
    ("+.5s", 5 * 10**8, "500ms"),
    ("1.s", 10**9, "1s"),
    ("2562047h47m16.854775807s", 2**63 - 1, "2562047h47m16.854775807s"),
]


@pytest.mark.parametrize(("text", "nanoseconds", "printed"), DURATIONS)
def test_durations(text: str, nanoseconds: int, printed: str) -> None:
    assert read_duration(text) == Duration(nanoseconds)
    assert str(Duration(nanoseconds)) == printed


@pytest.mark.parametrize("text", ["", "1", "-", "s", ".s", "1h 1m", "1d", "--1s", "2562048h", "1x" * 50])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(FaultError, match="invalid duration"):
        read_duration(text)
