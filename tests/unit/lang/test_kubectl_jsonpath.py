r"""JSONPath templates of kubectl; the tables are those of k8s.io/client-go v0.35, util/jsonpath/jsonpath_test.go."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import ExpressionError
from tiphys.lang.kubectl_jsonpath import render

TYPES: dict[str, Any] = {
    "bools": [True, False, True, False],
    "integers": [1, 2, 3, 4],
    "floats": [1.0, 2.2, 3.3, 4.0],
    "strings": ["one", "two", "three", "four"],
    "mixed": [True, "one", 1, 1.1],
    "maps": [{"name": "one", "value": 1}, {"name": "two", "value": 2.02}, {"name": "three", "value": 3.03}],
}
STORE: dict[str, Any] = {
    "Name": "jsonpath",
    "Book": [
        {"Title": "Sayings of the Century", "Price": 8.95},
        {"Title": "Sword of Honour", "Price": 12.99},
        {"Title": "Moby Dick", "Price": 8.99},
    ],
    "Bicycle": [{"Color": "red", "IsNew": True, "Price": 19.95}, {"Color": "green", "IsNew": False, "Price": 20.01}],
    "Labels": {"engieer": 10, "web/html": 15, "k8s-app": 20},
    "Employees": {"north": "manager", "south": "clerk"},
}
POINTS = [
    {"id": "i1", "x": 4, "y": -5},
    {"id": "i2", "x": -2, "y": -5, "z": 1},
    {"id": "i5", "x": 0, "y": 2, "z": 1},
    {"id": "i7", "x": None, "y": 4},
]
NODES: dict[str, Any] = {
    "kind": "List",
    "items": [
        {
            "kind": "None",
            "metadata": {"name": "127.0.0.1", "labels": {"kubernetes.io/hostname": "127.0.0.1"}},
            "status": {
                "capacity": {"cpu": "4"},
                "ready": True,
                "addresses": [{"type": "LegacyHostIP", "address": "127.0.0.1"}],
            },
        },
        {
            "kind": "None",
            "metadata": {"name": "127.0.0.2", "labels": {"kubernetes.io/hostname": "127.0.0.2"}},
            "status": {
                "capacity": {"cpu": "8"},
                "ready": False,
                "addresses": [
                    {"type": "LegacyHostIP", "address": "127.0.0.2"},
                    {"type": "another", "address": "127.0.0.3"},
                ],
            },
        },
    ],
    "users": [{"name": "myself", "user": {}}, {"name": "e2e", "user": {"username": "admin", "password": "secret"}}],
}
NESTED: dict[str, Any] = {
    "items": [
        {
            "name": "pod1",
            "containers": [
                {"name": "foo", "another": [{"name": "value1"}, {"name": "value2"}]},
                {"name": "bar", "another": [{"name": "value1"}, {"name": "value2"}]},
            ],
        },
        {"name": "pod2", "containers": [{"name": "baz", "another": [{"name": "value1"}, {"name": "value2"}]}]},
    ]
}
PODS: dict[str, Any] = {
    "items": [
        {"metadata": {"name": "pod1", "annotations": {"color": "blue"}}, "status": {"phase": "Running"}},
        {"metadata": {"name": "pod2"}, "status": {"phase": "Running"}},
        {"metadata": {"name": "pod3", "annotations": {"color": "green"}}, "status": {"phase": "Pending"}},
        {"resourceVersion": ""},
    ]
}
SIX = [{"name": f"fake{number}"} for number in range(6)]
FOUR = SIX[:4]

RENDERED: list[tuple[str, Any, str]] = [
    ("{ .bools }", TYPES, "[true,false,true,false]"),
    ("{ .bools[-1] }", TYPES, "false"),
    ("{ .bools[:4:2] }", TYPES, "true true"),
    ("{ .integers }", TYPES, "[1,2,3,4]"),
    ("{ .integers[-2] }", TYPES, "3"),
    ("{ .integers[0:2] }", TYPES, "1 2"),
    ("{ .floats[0] }", TYPES, "1"),
    ("{ .floats[:2] }", TYPES, "1 2.2"),
    ("{ .strings }", TYPES, '["one","two","three","four"]'),
    ("{ .strings[:4:2] }", TYPES, "one three"),
    ("{ .mixed }", TYPES, '[true,"one",1,1.1]'),
    ("{ .maps[0:2] }", TYPES, '{"name":"one","value":1} {"name":"two","value":2.02}'),
    ("{ .maps[::2].name }", TYPES, "one three"),
    ("hello jsonpath", None, "hello jsonpath"),
    ("{..}", [1, 2, 3], "[1,2,3]"),
    ("{[?(@<5)]}", [2, 6, 3, 7], "2 3"),
    ('{"{"}', None, "{"),
    ("{[1,3,4]}", [0, 1, 2, 3, 4], "1 3 4"),
    ("{[0:2]}", ["Monday", "Tudesday"], "Monday Tudesday"),
    ("hello {.Name}", STORE, "hello jsonpath"),
    ("{$.Labels.web/html}", STORE, "15"),
    ("{$.Employees.north}", STORE, "manager"),
    ("{.Labels.k8s-app}", STORE, "20"),
    ("{.Bicycle[*].Color}", STORE, "red green"),
    ('{range .Bicycle[*]}{ "{" }{ @.* }{ "} " }{end}', STORE, "{red true 19.95} {green false 20.01} "),
    ("{..Book..Price}", STORE, "8.95 12.99 8.99"),
    ("{...Title}", STORE, "Sayings of the Century Sword of Honour Moby Dick"),
    ("{.Book[-1:]}", STORE, '{"Price":8.99,"Title":"Moby Dick"}'),
    ("{..Book[2].Title}", STORE, "Moby Dick"),
    ("{.Bicycle[?(@.IsNew==true)].Color}", STORE, "red"),
    ("{.hello}", STORE, ""),
    ("before-{.hello}after", STORE, "before-after"),
    ("{[?(@.z)].id}", POINTS, "i2 i5"),
    ("{[0]['id']}", POINTS, "i1"),
    ("{[-1]['x']}", POINTS, "null"),
    ("{range .items[*]}{.metadata.name}, {end}{.kind}", NODES, "127.0.0.1, 127.0.0.2, List"),
    (r'{range .items[*]}{.metadata.name}{"\t"}{end}', NODES, "127.0.0.1\t127.0.0.2\t"),
    ("{.items[*].status.addresses[*].address}", NODES, "127.0.0.1 127.0.0.2 127.0.0.3"),
    (
        "{range .items[*]}{range .status.addresses[*]}{.address}, {end}{end}",
        NODES,
        "127.0.0.1, 127.0.0.2, 127.0.0.3, ",
    ),
    ("{.items[*]['metadata.name', 'status.capacity']}", NODES, '127.0.0.1 127.0.0.2 {"cpu":"4"} {"cpu":"8"}'),
    (
        "{range .items[*]}[{.metadata.name}, {.status.capacity}] {end}",
        NODES,
        '[127.0.0.1, {"cpu":"4"}] [127.0.0.2, {"cpu":"8"}] ',
    ),
    ('{.users[?(@.name=="e2e")].user.password}', NODES, "secret"),
    (r"{.items[0].metadata.labels.kubernetes\.io/hostname}", NODES, "127.0.0.1"),
    (r'{.items[?(@.metadata.labels.kubernetes\.io/hostname=="127.0.0.1")].kind}', NODES, "None"),
    ("{.items[?(@..ready==true)].metadata.name}", NODES, "127.0.0.1"),
    ("{range .items[*]}{.metadata.name}{end}", {"items": []}, ""),
    ('{range .items[*]}{range @.spec.containers[*]}{.name}{","}{end}{"+"}{end}', {"items": []}, ""),
    (
        '{range .items[*]}{.name}{":"}{range @.containers[*]}{.name}{","}{end}{"+"}{end}',
        NESTED,
        "pod1:foo,bar,+pod2:baz,+",
    ),
    (
        "{range .items[*]}{.name}~{range @.containers[*]}{.name}:{range @.another[*]}{.name},{end}+{end}#{end}",
        NESTED,
        "pod1~foo:value1,value2,+bar:value1,value2,+#pod2~baz:value1,value2,+#",
    ),
    (
        r'{range .items[*]}{.name}{"\t"}{range @.containers[*]}{.name} {end}{"\n"}{end}',
        NESTED,
        "pod1\tfoo bar \npod2\tbaz \n",
    ),
    ('{.items[?(@.metadata.annotations.color=="blue")].metadata.name}', PODS, "pod1"),
    (
        r'{range .items[?(.status.phase=="Running")]}{.metadata.name}{" is Running\n"}{end}',
        PODS,
        "pod1 is Running\npod2 is Running\n",
    ),
    ("{[0].name}", FOUR, "fake0"),
    ("{[0:0].name}", FOUR, ""),
    ("{[0:-1].name}", FOUR, "fake0 fake1 fake2"),
    ("{[-1].name}", FOUR, "fake3"),
    ("{[-1:].name}", FOUR, "fake3"),
    ("{[-2:].name}", FOUR, "fake2 fake3"),
    ("{[-4].name}", FOUR, "fake0"),
    ("{[5:5].name}", FOUR, ""),
    ("{[-5:-5].name}", FOUR, ""),
    ("{[0:6:].name}", SIX, "fake0 fake1 fake2 fake3 fake4 fake5"),
    ("{[1:4:2].name}", SIX, "fake1 fake3"),
    ("{[1:4:4].name}", SIX, "fake1"),
    ("{[0:6:5].name}", SIX, "fake0 fake5"),
    # not in that table
    ('{"a\\"b"}{\'\\u00e9\\x41\\101\'}', None, 'a"b\u00e9AA'),
    ('{[?(@.name!="fake0")].name}', FOUR, "fake1 fake2 fake3"),
    ('{[?(@.name>="fake2")].name}', FOUR, "fake2 fake3"),
    ('{[?(@.name=="a)b")].n}', [{"name": "a)b", "n": 1.5}], "1.5"),
    ("{[?(@.x>1.5)].id}", POINTS[:3], "i1"),
    ("{[?(@.list[5])].id}", [{"id": 1, "list": [1]}], ""),
    ("{.n}", {"n": 9007199254740993}, "9007199254740993"),
    ("{..}", {"a": ["x", 1], "b": {}}, '{"a":["x",1],"b":{}} ["x",1] x'),
    ("{.*}", {"b": 1, "a": 2}, "2 1"),
    ("{ -1 } {2.5} {true}", None, "-1 2.5 true"),
]

FAILS: list[tuple[str, Any, str]] = [
    ("{............Price}", STORE, "'..' stands twice"),
    ("{hello}", STORE, "'hello' is neither range nor end"),
    ("{.Labels[0]}", STORE, "is not a list"),
    ("{.Book[?(@.Price<>10)]}", STORE, "'<>' is not an operator"),
    ("{range .Labels.*}{@}{end}{end}", STORE, "has no '{range …}' before it"),
    ("{range .Labels.*}{@}", STORE, "has no '{end}'"),
    ("{[-1:0].name}", FOUR, "starts at 3, behind its end at 0"),
    ("{[-5].name}", FOUR, "index -1 is out of bounds"),
    ("{[4].name}", FOUR, "index 4 is out of bounds"),
    ("{[3:1].name}", FOUR, "starts at 3, behind its end at 1"),
    ("{[0:7].name}", SIX, "index 7 is out of bounds"),
    ("{[0:6:0].name}", SIX, "step"),
    ("{[0:6:-1].name}", SIX, "step"),
    ("{.a", STORE, "not closed"),
    ("{.a\n}", STORE, "not closed"),
    ('{"a}', STORE, "not closed"),
    ('{"\\q"}', STORE, "not an escape"),
    ('{"\\UFFFFFFFF"}', STORE, "not a character"),
    ("{[a]}", STORE, "neither an index"),
    ("{[-]}", STORE, "neither an index"),
    ("{[?(@.a==1]}", STORE, "a filter is not closed"),
    ("{[?(range)]}", STORE, "cannot stand in brackets"),
    ("{1.2.3}", STORE, "not a number"),
    ("{&}", STORE, "'&' is not expected"),
    ("{[?(@.x==1)]}", POINTS, "cannot be compared"),
    ("{[?(@.id==1)]}", POINTS, "cannot be compared"),
    ("{[?(@>true)]}", [True], "cannot be compared"),
    ("{[?(@.*==1)]}", [[1, 2]], "one value with one other"),
]


@pytest.mark.parametrize(("template", "data", "expected"), RENDERED)
def test_renders_as_kubectl(template: str, data: Any, expected: str) -> None:
    assert render(template, data) == expected


@pytest.mark.parametrize(("template", "data", "message"), FAILS)
def test_says_what_is_wrong(template: str, data: Any, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        render(template, data)
    assert message in caught.value.message
    assert template in caught.value.message


@given(st.text().filter(lambda text: "{" not in text))
def test_text_without_actions_stays(text: str) -> None:
    assert render(text, {}) == text


@given(st.text("{}[]().*?@$'\"\\:,-01<=an \n", max_size=25))
def test_any_template_is_carried_out_or_refused(template: str) -> None:
    with suppress(ExpressionError):
        render(template, NODES)
