"""How texts are read, shown as written out again: after expr-lang's parser/parser_test.go and ast/print_test.go."""

from __future__ import annotations

import pytest

from tiphys.errors import ExpressionError
from tiphys.lang.expr.faults import FaultError
from tiphys.lang.expr.lexer import tokenize
from tiphys.lang.expr.nodes import Literal
from tiphys.lang.expr.parser import parse
from tiphys.lang.expr.program import compile_expression
from tiphys.lang.expr.source_text import source_text

LITERALS = [
    ("3", 3),
    ("0xFF", 255),
    ("0x6E", 110),
    ("0X63", 99),
    ("0o600", 384),
    ("0O45", 37),
    ("0b10", 2),
    ("0B101011", 43),
    ("10_000_000", 10_000_000),
    ("010", 10),
    ("9223372036854775807", 2**63 - 1),
    ("2.5", 2.5),
    ("1.", 1.0),
    (".5", 0.5),
    ("1e9", 1e9),
    ("1_0.2_5e-0_1", 1.025),
    ("true", True),
    ('"str"', "str"),
    ("'str'", "str"),
    ("`hello\nworld`", "hello\nworld"),
    ("`a``b```", "a`b`"),
    ("``", ""),
    (r'"a\tb\n\"\\"', 'a\tb\n"\\'),
    (r"'it\'s'", "it's"),
    (r"'\x41\101é\U0001F600\u{61}\u{1F600}'", "AAé😀a😀"),
    (r"'\xff'", "ÿ"),
    (r"'\ud800'", "\ufffd"),
    ("'a\r\nb'".replace("\n", ""), "a\nb"),
    ("/* a */ 1 // b", 1),
    ("1 /* / * */ // c\n", 1),
    (r"b'\xff\101é'", b"\xffA\xc3\xa9"),
    ("B''", b""),
]

#: The text, and the tree written out with all parentheses that it needs.
SHAPES = [
    ("-3", "-3"),
    ("-2^2", "-(2 ** 2)"),
    ("-a.b", "-a.b"),
    ("!a", "not a"),
    ("not not a", "not (not a)"),
    ("1 - 2 - 3", "1 - 2 - 3"),
    ("1 - (2 - 3)", "1 - (2 - 3)"),
    ("(1 - 2) * 3", "(1 - 2) * 3"),
    ("1 + 2 * 3 ** 4 ** 5", "1 + (2 * (3 ** (4 ** 5)))"),
    ("a + b ?? c", "a + (b ?? c)"),
    ("a || b && c or d", "a or (b and c) or d"),
    ("a == b and c != d", "(a == b) and (c != d)"),
    ("a < b <= c > d", "(a < b) and (b <= c) and (c > d)"),
    ("(a < b) < c", "(a < b) < c"),
    ("a == b < c", "(a == b) < c"),
    ("1..2 + 3", "1 .. (2 + 3)"),
    ("0..1 in [2]", "(0 .. 1) in [2]"),
    ("a not in b", "not (a in b)"),
    ("-1 not in [1]", "not ((-1) in [1])"),
    ("not a matches b", "(not a) matches b"),
    ("a not contains b and not c startsWith d", "(not (a contains b)) and ((not c) startsWith d)"),
    ("a ? b : c ? d : e", "a ? b : (c ? d : e)"),
    ("(a ? b : c) ? d : e", "(a ? b : c) ? d : e"),
    ("a ?: b", "a ? a : b"),
    ("a ?? b ? c : d", "a ?? b ? c : d"),
    ("a?.b.c", "a?.b.c"),
    ("a?.b[0].c", "a?.b[0].c"),
    ('a?.b["c"]', 'a?.b["c"]'),
    ("(a?.b).c", "a?.b.c"),
    ("x?.[0]?.[1]", "x?.[0]?.[1]"),
    ("foo.bar[a?.b]?.baz", "foo.bar[a?.b]?.baz"),
    ("a['b'].not.in", "a.b.not.in"),
    ('a["the b"]', 'a["the b"]'),
    ("(-a).b", "(-a).b"),
    ("(a + b).c", "(a + b).c"),
    ("a.b(c, d,)[1]", "a.b(c, d)[1]"),
    ("a[:][1:][:-1][x:y]", "a[:][1:][:-1][x:y]"),
    ("[1, 2,]", "[1, 2]"),
    ("{}", "{}"),
    ("{a: b, 'c d': 2, 8: 8, (x + y): z,}", '{"a": b, "c d": 2, "8": 8, (x + y): z}'),
    ("map(a, # > 0)", "map(a, { # > 0 })"),
    ("map(a, {.b})", "map(a, { #.b })"),
    ("all([true, false,], #,)", "all([true, false], { # })"),
    ("list | all(#,)", "all(list, { # })"),
    ("a | f(b) | filter(.c)", "filter(f(a, b), { #.c })"),
    ("reduce(a, #acc + #, 0)", "reduce(a, { #acc + # }, 0)"),
    ("sum(a)", "sum(a)"),
    ("::len(a)", "len(a)"),
    ("1; 2; 3;", "1; 2; 3"),
    ("1; (2; 3)", "1; (2; 3)"),
    ("true ? 1 : 2; 3", "(true ? 1 : 2); 3"),
    ("let x = true ? 1 : (2; 3); x", "let x = (true ? 1 : (2; 3)); x"),
    ("let x = 1; 2; 3 + x", "let x = 1; 2; 3 + x"),
    ("f(if a { 1; 2 } else if b { 3 } else { 4 })", "f((if a { 1; 2 } else { if b { 3 } else { 4 } }))"),
    ("map(a, {let x = #; x; x})", "map(a, { let x = #; x; x })"),
    ("map(a, let x = #; x * x)", "map(a, { let x = #; x * x })"),
]

#: The text, a part of the message, and the column.
WRONG = [
    ("", "unexpected end of expression", 1),
    ("foo.", "expected a name", 4),
    ("a+", "unexpected end of expression", 2),
    ("a ? (1+2) c", "unexpected token 'c'", 11),
    ("[a b]", "unexpected token 'b'", 4),
    ("foo.bar(a b)", "unexpected token 'b'", 11),
    ("{-}", "a map key must be", 2),
    ("foo({.bar})", "a map key must be", 6),
    ("[1, 2, 3,,]", "unexpected token ','", 10),
    ("[,]", "unexpected token ','", 2),
    ("{,}", "a map key must be", 2),
    ("{foo:1, bar:2, ,}", "a map key must be", 16),
    ("foo ?? bar || baz", "operator '||' and '??' cannot be mixed", 12),
    ("0b15", "bad number syntax: '0b15'", 4),
    ("0X10G", "bad number syntax: '0X10G'", 5),
    ("0o1E", "invalid number literal", 1),
    ("0b1E+6", "bad number syntax", 6),
    ("1E", "invalid number literal", 1),
    ("0x", "invalid number literal", 1),
    ("1e999", "float literal 1e999 is too large", 1),
    ("9223372036854775808", "integer literal 9223372036854775808 is too large", 1),
    ("1 not == [1, 2, 5]", "unexpected token '=='", 7),
    ("foo(1; 2; 3)", "unexpected token ';'", 6),
    ("map(ls, 1; 2; 3)", "stands in braces", 10),
    ("[1; 2; 3]", "unexpected token ';'", 3),
    ("1 + if true { 2 } else { 3 }", "unexpected token 'if'", 5),
    ("if a { 1 } else b", "unexpected token 'b'", 17),
    ("list | all(#,,)", "unexpected token ','", 14),
    ("filter(a)", "expected at least 2 arguments", 9),
    ("a | b", "unexpected end", 5),
    ("a | true()", "'true' cannot be called", 5),
    ("nil()", "unexpected token '('", 4),
    ("#", "unexpected token '#'", 1),
    ("a.1", "unexpected token '.1'", 2),
    ("1 2", "unexpected token '2'", 3),
    ("a[]", "unexpected token ']'", 3),
    ("let 1 = 2; 3", "unexpected token '1'", 5),
    ("let x = 1", "unexpected end", 9),
    ("'abc", "literal not terminated", 5),
    ("'a\nb'", "literal not terminated", 3),
    ("id `hello", "literal not terminated", 4),
    (r"'\q'", "invalid char escape", 2),
    (r'"\xQA"', "invalid char escape", 2),
    (r"'\u{110000}'", "is not a character", 1),
    (r"b'\u0041'", "is not an escape for bytes", 1),
    ("1 /* 2", "unclosed comment", 3),
    ("a @ b", "unrecognized character: '@'", 3),
    ("if\x00", "unrecognized character", 3),
]


@pytest.mark.parametrize(("source", "expected"), LITERALS)
def test_literals(source: str, expected: object) -> None:
    assert parse(source) == Literal(expected)  # type: ignore[arg-type]  # the table holds only literals
    assert parse(source_text(parse(source))) == parse(source)


@pytest.mark.parametrize(("source", "expected"), SHAPES)
def test_shapes(source: str, expected: str) -> None:
    tree = parse(source)
    assert source_text(tree) == expected
    assert parse(expected) == tree


@pytest.mark.parametrize(("source", "message", "column"), WRONG)
def test_what_is_no_expression(source: str, message: str, column: int) -> None:
    with pytest.raises(FaultError) as caught:
        parse(source)
    assert message in caught.value.message
    assert (caught.value.position or 0) + 1 == column


def test_tokens_know_their_places() -> None:
    tokens = tokenize("1..2\n#acc not  in a?.b")
    assert [(token.kind, token.value, token.start) for token in tokens] == [
        ("number", "1", 0),
        ("operator", "..", 1),
        ("number", "2", 3),
        ("operator", "#", 5),
        ("identifier", "acc", 6),
        ("operator", "not", 10),
        ("operator", "in", 15),
        ("identifier", "a", 18),
        ("operator", "?.", 19),
        ("identifier", "b", 21),
        ("end", "", 21),
    ]


def test_an_error_shows_the_line_and_the_place() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression("let a = 1;\n\tlet b = [1 2];\na + b")
    assert str(caught.value) == "unexpected token '2' (2:13)\n |  let b = [1 2];\n | ............^"


def test_a_long_line_is_cut_around_the_place() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression("'" + "x" * 5000 + "' + @ + '" + "y" * 5000 + "'")
    line, mark = str(caught.value).splitlines()[1:]
    assert len(line) < 220
    assert line[mark.index("^")] == "@"


@pytest.mark.parametrize(
    "source",
    ["(" * 500 + "1" + ")" * 500, "[" * 300, "-" * 5000 + "1", "a" + ".b" * 1000, "f(" * 400, "1 ?" * 400, "!" * 5000],
)
def test_deep_nesting_is_refused(source: str) -> None:
    with pytest.raises(ExpressionError, match="nested too deeply"):
        compile_expression(source)


def test_size_is_bounded() -> None:
    with pytest.raises(ExpressionError, match="more than 10000 parts"):
        compile_expression("[" + "1," * 10_000 + "]")


def test_long_chains_need_no_depth() -> None:
    many = 2000
    assert compile_expression(" + ".join(["1"] * many)).run({}) == many
    assert compile_expression(" or ".join(["x == 'a'"] * many)).run({"x": "b"}) is False
    text = compile_expression(" + ".join(["1"] * many)).source()
    assert text == " + ".join(["1"] * many)
