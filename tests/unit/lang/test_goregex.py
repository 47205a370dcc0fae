"""Go's regular expressions; the tables carry over values of Go's regexp/find_test.go, all_test.go and
regexp/syntax/parse_test.go, with positions counted in characters.
"""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import ExpressionError
from tiphys.lang.goregex.charset import orbit
from tiphys.lang.goregex.program import run
from tiphys.lang.goregex.regex import Regex, compile_regex, quote_meta

PUNCTUATION = "".join("\\" + char for char in string.punctuation)

FOUND: list[tuple[str, str, list[list[int]]]] = [
    ("", "", [[0, 0]]),
    ("^abcdefg", "abcdefg", [[0, 7]]),
    ("a+", "baaab", [[1, 4]]),
    ("a", "bababaab", [[1, 2], [3, 4], [5, 6], [6, 7]]),
    ("abcd..", "abcdef", [[0, 6]]),
    ("x", "y", []),
    (".", "a", [[0, 1]]),
    (".*", "abcdef", [[0, 6]]),
    ("^", "abcde", [[0, 0]]),
    ("$", "abcde", [[5, 5]]),
    ("^abcd$", "abcd", [[0, 4]]),
    ("^bcd'", "abcdef", []),
    ("^abcd$", "abcde", []),
    ("a*", "baaab", [[0, 0], [1, 4], [5, 5]]),
    ("[a-z]+", "abcd", [[0, 4]]),
    ("[^a-z]+", "ab1234cd", [[2, 6]]),
    (r"[a\-\]z]+", "az]-bcz", [[0, 4], [6, 7]]),
    (r"[^\n]+", "abcd\n", [[0, 4]]),
    ("[日本語]+", "日本語日本語", [[0, 6]]),
    ("日本語+", "日本語語語語", [[0, 6]]),
    ("()", "", [[0, 0, 0, 0]]),
    ("(a)", "a", [[0, 1, 0, 1]]),
    ("(.)(.)", "日a", [[0, 2, 0, 1, 1, 2]]),
    ("(.*)", "", [[0, 0, 0, 0]]),
    ("(..)(..)", "abcd", [[0, 4, 0, 2, 2, 4]]),
    ("(([^xyz]*)(d))", "abcd", [[0, 4, 0, 4, 0, 3, 3, 4]]),
    ("((a|b|c)*(d))", "abcd", [[0, 4, 0, 4, 2, 3, 3, 4]]),
    ("(((a|b|c)*)(d))", "abcd", [[0, 4, 0, 4, 0, 3, 2, 3, 3, 4]]),
    (r"\a\f\n\r\t\v", "\a\f\n\r\t\v", [[0, 6]]),
    (r"[\a\f\n\r\t\v]+", "\a\f\n\r\t\v", [[0, 6]]),
    ("a*(|(b))c*", "aacc", [[0, 4, 2, 2, -1, -1]]),
    ("(.*).*", "ab", [[0, 2, 0, 2]]),
    ("[.]", ".", [[0, 1]]),
    ("/$", "/abc/", [[4, 5]]),
    ("/$", "/abc", []),
    (".(.)", "abcd", [[0, 2, 1, 2], [2, 4, 3, 4]]),
    ("ab*", "abbaab", [[0, 3], [3, 4], [4, 6]]),
    ("a(b*)", "abbaab", [[0, 3, 1, 3], [3, 4, 4, 4], [4, 6, 5, 6]]),
    ("ab$", "cab", [[1, 3]]),
    ("axxb$", "axxcb", []),
    ("da(.)a$", "daXY data", [[5, 9, 7, 8]]),
    ("zx+", "zzx", [[1, 3]]),
    ("(aa)*$", "a", [[1, 1, -1, -1]]),
    ("(?:.|(?:.a))", "", []),
    ("(?:A(?:A|a))", "Aa", [[0, 2]]),
    ("(a){0}", "", [[0, 0, -1, -1]]),
    ("(?-s)(?:(?:^).)", "\n", []),
    ("(?s)(?:(?:^).)", "\n", [[0, 1]]),
    (r"\b", "x y", [[0, 0], [1, 1], [2, 2], [3, 3]]),
    (r"\b", "xx yy", [[0, 0], [2, 2], [3, 3], [5, 5]]),
    (r"\B", "x", []),
    (r"\B", "xx yy", [[1, 1], [4, 4]]),
    ("(|a)*", "aa", [[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 2, 2]]),
    ("0A|0[aA]", "0a", [[0, 2]]),
    ("[a-c]*", "日", [[0, 0], [1, 1]]),
    ("[^日]", "abc日def", [[0, 1], [1, 2], [2, 3], [4, 5], [5, 6], [6, 7]]),
    (r"[^\S\s]", "abcd", []),
    (r"[^\S[:space:]]", "abcd", []),
    (r"[^\D[:digit:]]", "abcd", []),
    (r"(?i)\W", "x", []),
    (r"(?i)\W", "k", []),
    (r"(?i)\W", "s", []),
    (PUNCTUATION, string.punctuation, [[0, 32]]),
    ("[" + PUNCTUATION + "]+", string.punctuation, [[0, 32]]),
    # beyond Go's table
    (r"(?i)straße|K", "STRASSE STRAßE \u212a", [[8, 14], [15, 16]]),
    ("(?i)[a-z]+", "Kelvin \u212a \u017f", [[0, 6], [7, 8], [9, 10]]),
    ("(?i)Δ", "δ", [[0, 1]]),
    ("(?i)[^k]", "kK\u212aa", [[3, 4]]),
    ("(?i)(?-i:a)b", "ab aB AB", [[0, 2], [3, 5]]),
    ("(?m)^b$", "a\nb\nc", [[2, 3]]),
    ("(?U)a+", "aaa", [[0, 1], [1, 2], [2, 3]]),
    ("(?U)a+?", "aaa", [[0, 3]]),
    ("a+?b??", "aab", [[0, 1], [1, 2]]),
    ("a{2,3}", "aaaaa", [[0, 3], [3, 5]]),
    ("a{2}?", "aaaaa", [[0, 2], [2, 4]]),
    ("a{,2}", "a{,2}", [[0, 5]]),
    ("x{1001", "x{1001", [[0, 6]]),
    (r"\Q+|*?{[\E+", "+|*?{[[[", [[0, 8]]),
    (r"\Qab", "ab", [[0, 2]]),
    (r"[\012-\234]\141", "\x50a", [[0, 2]]),
    (r"[\x{41}-\x7a]\x61", "Qa", [[0, 2]]),
    (r"\pL\p{Lu}\PL\p{^Nd}", "ßÄ1x", [[0, 4]]),
    (r"[^\pL\d]+", "aß1-+2", [[3, 5]]),
    ("[[:^alpha:][:upper:]]+", "ab1C-d", [[2, 5]]),
    ("[]a]+", "]a]", [[0, 3]]),
    ("[^]a]+", "]b]", [[1, 2]]),
    ("[a-]+", "-a-", [[0, 3]]),
    (r"\z", "a", [[1, 1]]),
    (r"(?m)a\z", "a\na", [[2, 3]]),
    (r"\s+", "a \v\t b", [[1, 2], [3, 5]]),
    (r"(?P<x>a)(?<y>b)", "ab", [[0, 2, 0, 1, 1, 2]]),
    ("(?:)*|a", "a", [[0, 0], [1, 1]]),
    ("(a+)(b+)", "abab", [[0, 2, 0, 1, 1, 2], [2, 4, 2, 3, 3, 4]]),
    ("(?:a|ab)(?:c|bcd)(d*)", "abcd", [[0, 4, 4, 4]]),
    ("^(.*)$", "ab", [[0, 2, 0, 2]]),
]


@pytest.mark.parametrize(("pattern", "text", "spans"), FOUND)
def test_find_all(pattern: str, text: str, spans: list[list[int]]) -> None:
    assert [list(match.spans) for match in compile_regex(pattern).find_all(text)] == spans


@pytest.mark.parametrize(("count", "found"), [(0, 0), (1, 1), (3, 3), (5, 4), (-1, 4)])
def test_find_some(count: int, found: int) -> None:
    assert len(compile_regex("a").find_all("bababaab", count)) == found


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("*", "missing argument to repetition operator: `*`"),
        ("a|+?", "missing argument to repetition operator: `+?`"),
        ("(?i)*", "missing argument to repetition operator: `*`"),
        (r"\Q\E*", "missing argument to repetition operator: `*`"),
        ("(abc", "missing closing ): `(abc`"),
        ("abc)", "unexpected ): `abc)`"),
        ("x[a-z", "missing closing ]: `[a-z`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("[a-Z]", "invalid character class range: `a-Z`"),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
        (r"\p{Foo}", r"invalid character class range: `\p{Foo}`"),
        ("abc\\", "trailing backslash at end of expression"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a*+", "invalid nested repetition operator: `*+`"),
        ("a{1}*", "invalid nested repetition operator: `{1}*`"),
        (r"\x", r"invalid escape sequence: `\x`"),
        (r"\1", r"invalid escape sequence: `\1`"),
        (r"\C", r"invalid escape sequence: `\C`"),
        (r"[\b]", r"invalid escape sequence: `\b`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?i-)a", "invalid or unsupported Perl syntax: `(?i-)`"),
        ("(?P<name", "invalid named capture: `(?P<name`"),
        ("(?<x y>a)", "invalid named capture: `(?<x y>`"),
        ("(?<>a)", "invalid named capture: `(?<>`"),
        ("(?<x>a)(?<x>b)", "duplicate capture group name: `x`"),
        ("x{1001}", "invalid repeat count: `{1001}`"),
        ("x{9876543210}", "invalid repeat count: `{9876543210}`"),
        ("x{2,1}", "invalid repeat count: `{2,1}`"),
        ("(((x{10}){10}){10}){2}", "invalid repeat count: `{2}`"),
        ("(?:[a-z]{4}){0,251}", "invalid repeat count: `{0,251}`"),
        ("(" * 1000 + ")" * 1000, "expression nests too deeply"),
        ("(xx?){1000}" * 1000, "expression too large"),
    ],
)
def test_refused(pattern: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_regex(pattern)
    assert caught.value.message.startswith("error parsing regexp: ")
    assert message in caught.value.message


@pytest.mark.parametrize(
    "pattern", ["(?:[a-z]{4}){0,250}", "(" * 50 + ")" * 50, "(a|b*" * 50 + ")*" * 50, "(" + "|" * 5000 + ")"]
)
def test_allowed(pattern: str) -> None:
    assert compile_regex(pattern).search("") is not None


@pytest.mark.parametrize(
    ("pattern", "text", "template", "result"),
    [
        ("", "", "x", "x"),
        ("", "abc", "x", "xaxbxcx"),
        ("b", "abc", "x", "axc"),
        ("[a-c]*", "abcbcdcdedef", "x", "xdxdxexdxexfx"),
        ("[a-c]*", "日", "x", "x日x"),
        ("[a-z]+", "日本z", "(x)", "日本(x)"),
        ("^[a-c]*", "abcdabc", "x", "xdabc"),
        ("a+", "banana", "(${0})", "b(a)n(a)n(a)"),
        ("a+", "banana", "(${0}1)", "b(a1)n(a1)n(a1)"),
        ("a+", "banana", "(${0)", "b(${0)n(${0)n(${0)"),
        ("a+", "banana", "(${0})$$", "b(a)$n(a)$n(a)$"),
        ("a+", "banana", "(${ 0})", "b(${ 0})n(${ 0})n(${ 0})"),
        ("hello, (.+)", "hello, world", "goodbye, $1x", "goodbye, "),
        ("hello, (.+)", "hello, world", "goodbye, ${1}x", "goodbye, worldx"),
        ("hello, (?P<noun>.+)", "hello, world", "goodbye, $noun!", "goodbye, world!"),
        ("(?P<x>hi)|(?P<y>bye)", "hi", "$x$y$z$9", "hi"),
        ("a", "a", "$", "$"),
        ("a(x*)b", "-ab-axxb-", "$1W", "---"),
        ("a(x*)b", "-ab-axxb-", "${1}W", "-W-xxW-"),
    ],
)
def test_replace_all(pattern: str, text: str, template: str, result: str) -> None:
    assert compile_regex(pattern).replace_all(text, template) == result


def test_replace_all_literal() -> None:
    assert compile_regex("a(x*)b").replace_all_literal("-ab-axxb-", "${1}") == "-${1}-${1}-"


@pytest.mark.parametrize(
    ("text", "pattern", "count", "pieces"),
    [
        ("foo:and:bar", ":", -1, ["foo", "and", "bar"]),
        ("foo:and:bar", ":", 1, ["foo:and:bar"]),
        ("foo:and:bar", ":", 2, ["foo", "and:bar"]),
        ("foo:and:bar", "foo", -1, ["", ":and:bar"]),
        ("foo:and:bar", "bar", -1, ["foo:and:", ""]),
        ("foo:and:bar", "baz", -1, ["foo:and:bar"]),
        ("baabaab", "a", -1, ["b", "", "b", "", "b"]),
        ("baabaab", "a*", -1, ["b", "b", "b"]),
        ("baabaab", "ba*", -1, ["", "", "", ""]),
        ("foobar", "f*b*", -1, ["", "o", "o", "a", "r"]),
        ("foobar", "f+.*b+", -1, ["", "ar"]),
        ("foobooboar", "o{2}", -1, ["f", "b", "boar"]),
        ("a,b,c,d,e,f", ",", 3, ["a", "b", "c,d,e,f"]),
        ("a,b,c,d,e,f", ",", 0, []),
        (",", ",", -1, ["", ""]),
        (",,,", ",", -1, ["", "", "", ""]),
        ("", ",", -1, [""]),
        ("", ".*", -1, [""]),
        ("", "", -1, []),
        ("foobar", "", -1, ["f", "o", "o", "b", "a", "r"]),
        ("x:y:z", ":", 4, ["x", "y", "z"]),
    ],
)
def test_split(text: str, pattern: str, count: int, pieces: list[str]) -> None:
    assert compile_regex(pattern).split(text, count) == pieces


@pytest.mark.parametrize(
    ("pattern", "text", "template"),
    [("a", "a" * 5000, "b" * 5000), ("(.*)", "a" * 5000, "$1" * 5000), ("", "a" * 5000, "b" * 5000)],
)
def test_results_are_bounded(pattern: str, text: str, template: str) -> None:
    with pytest.raises(ExpressionError, match="more than 10000000 characters"):
        compile_regex(pattern).replace_all(text, template)


def test_match() -> None:
    match = compile_regex("(?P<key>[a-z]+)=(?P<value>[0-9]+)?(;)?").search("-a=1")
    assert match is not None
    assert (match.start, match.end, match.group(), match.group("key"), match.group(2)) == (1, 4, "a=1", "a", "1")
    assert match.groups() == ("a", "1", None)
    with pytest.raises(ExpressionError, match="no group 'other'"):
        match.group("other")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a*)*b", "a" * 10_000),
        ("(a|aa)+$", "a" * 5_000 + "b"),
        ("(?:a?){100}a{100}", "a" * 100),
        ("(.*)(.*)(.*)(.*)x", "a" * 2_000),
        ("(x+x+)+y", "x" * 2_000),
    ],
)
def test_no_pattern_blows_up(pattern: str, text: str) -> None:
    expected = text if pattern.startswith("(?:") else None
    match = compile_regex(pattern).search(text)
    assert (match and match.group()) == expected


def test_quote_meta() -> None:
    text = "(|)^$.[*+?]{5,10},\\\\ ü"
    assert quote_meta("a.b$") == r"a\.b\$"
    assert [match.group() for match in compile_regex(quote_meta(text)).find_all(text)] == [text]


def test_orbit() -> None:
    assert set(orbit("k")) == {"k", "K", "\u212a"}
    assert set(orbit("ς")) == {"\u03c3", "Σ", "ς"}
    assert orbit("\u0131") == ("\u0131",)
    assert orbit("1") == ("1",)


# Patterns on which Go and Python agree: no loop over what may be empty.
atoms = st.sampled_from(["a", "b", "c", ".", "[ab]", "[^a]", r"\b", "^", "$(?!\n)", r"\d", r"\w"])
some = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "ab", "a|b", "a|ab"])
quantifiers = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{2,}?"])
patterns = st.recursive(
    atoms | st.tuples(some, quantifiers).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map("".join)
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + "|".join(parts) + ")")
    ),
    max_leaves=8,
)
texts = st.text("abc1 \n", max_size=12)


@given(patterns, texts)
def test_agrees_with_python(pattern: str, text: str) -> None:
    # "$" is the end of the text in Go; in Python it may stand before a last line feed.
    expected = re.compile(pattern.replace("$(?!\n)", r"\Z")).search(text)
    match = compile_regex(pattern.replace("$(?!\n)", "$")).search(text)
    assert (match and match.spans) == (expected and tuple(bound for span in expected.regs for bound in span))


plain = st.lists(st.sampled_from(["a", "[ab]", r"\d", ".", "(b)", "[^a-c]"]), max_size=3).map("".join)


@given(st.sampled_from(["", "^"]), plain, st.sampled_from(["", "a*", "([ab]+?)", "b{1,2}", ".?"]), plain, texts)
def test_the_shortcut_finds_what_the_machine_finds(start: str, before: str, many: str, after: str, text: str) -> None:
    regex = Regex(start + before + many + (after if start else ""))
    match = regex.search(text)
    assert regex._shortcut is not None
    assert (match and match.spans) == run(regex._program, text, 0)
