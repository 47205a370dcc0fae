"""Which variables an expression reads. Guards: argo-workflows, util/template/expression_template_test.go."""

from __future__ import annotations

import pytest

from tiphys.lang.expr.program import compile_expression

TABLE: list[tuple[str, set[str], set[str]]] = [
    ("1 + 2", set(), set()),
    ("item.requiredKey", {"item.requiredKey"}, set()),
    ("item.optionalKey ?? 'fallback'", {"item"}, {"item.optionalKey"}),
    ("item['optionalKey'] ?? ''", {"item"}, {"item.optionalKey"}),
    ("item?.optionalKey", {"item"}, {"item.optionalKey"}),
    ("item.a?.b", {"item"}, {"item.a.b"}),
    ("item.requiredKey + (item.optionalKey ?? 'x')", {"item", "item.requiredKey"}, {"item.optionalKey"}),
    ("tasks.a.outputs.result ?? 'default'", {"tasks"}, {"tasks.a.outputs.result"}),
    ("a ?? b.c ?? d.e", {"a", "b", "d.e"}, {"b.c"}),
    ("(a.b + c.d) ?? 1", {"a", "c"}, {"a.b", "c.d"}),
    ("steps['a-b'].x", {"steps.a-b.x"}, set()),
    ("steps.a.outputs.result + steps['a'].x", {"steps.a.outputs.result", "steps.a.x"}, set()),
    ("steps[name.x].y", {"steps", "name.x"}, set()),
    ("steps[0].y.z", {"steps"}, set()),
    ("steps.list[0].y", {"steps.list"}, set()),
    ("steps?.list[n]", {"steps", "n"}, {"steps.list"}),
    ("$env.a.b + $env['c d']", {"a.b", "c d"}, set()),
    ("$env", set(), set()),
    ("sprig.trim(inputs.parameters.x)", {"sprig.trim", "inputs.parameters.x"}, set()),
    ("asInt(retries) * 2", {"asInt", "retries"}, set()),
    ("now().Year()", set(), set()),
    ("let x = a.b; x.c + y.x", {"a.b", "y.x"}, set()),
    ("let x = x1; let y = x; y", {"x1"}, set()),
    ("map(a.list, {# + .b + c.d})", {"a.list", "c.d"}, set()),
    ("f(a.b).c.d", {"f", "a.b"}, set()),
    ("a.b(c).d", {"a.b", "c"}, set()),
    ("{(k.x): v.y}[z.w]", {"k.x", "v.y", "z.w"}, set()),
    ("a.b[c.d:e.f]", {"a.b", "c.d", "e.f"}, set()),
    ("a ? b.c : if d { e.f } else { 1; g.h }", {"a", "b.c", "d", "e.f", "g.h"}, set()),
]


def joined(paths: frozenset[tuple[str, ...]]) -> set[str]:
    return {".".join(path) for path in paths}


@pytest.mark.parametrize(("source", "required", "optional"), TABLE)
def test_references(source: str, required: set[str], optional: set[str]) -> None:
    program = compile_expression(source)
    assert joined(program.references()) == required
    assert joined(program.optional_references()) == optional


def test_a_path_keeps_its_parts() -> None:
    assert compile_expression("steps['a.b'].x").references() == {("steps", "a.b", "x")}
