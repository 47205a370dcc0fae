"""JSONPath as expressions use it.

`SELECTS` and `LEADS_NOWHERE` are paths, data and results of evilmonkeyinc/jsonpath v0.8.1, test/README.md (which takes
its paths from the JSONPath comparison of cburgmer); `..` is compared without regard to order, as there.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import ExpressionError
from tiphys.lang import jsonpath
from tiphys.lang.jsonpath import evaluate_jsonpath

SELECTS = [
    ("$[1:3]", '["first","second","third","forth","fifth"]', '["second","third"]'),
    ("$[0:5]", '["first","second","third","forth","fifth"]', '["first","second","third","forth","fifth"]'),
    ("$[7:10]", '["first","second","third"]', "[]"),
    ("$[1:10]", '["first","second","third"]', '["second","third"]'),
    ("$[2:113667776004]", '["first","second","third","forth","fifth"]', '["third","forth","fifth"]'),
    ("$[2:-113667776004:-1]", '["first","second","third","forth","fifth"]', "[]"),
    ("$[-113667776004:2]", '["first","second","third","forth","fifth"]', '["first","second"]'),
    ("$[113667776004:2:-1]", '["first","second","third","forth","fifth"]', "[]"),
    ("$[-4:-5]", '[2,"a",4,5,100,"nice"]', "[]"),
    ("$[-4:-4]", '[2,"a",4,5,100,"nice"]', "[]"),
    ("$[-4:-3]", '[2,"a",4,5,100,"nice"]', "[4]"),
    ("$[-4:1]", '[2,"a",4,5,100,"nice"]', "[]"),
    ("$[-4:2]", '[2,"a",4,5,100,"nice"]', "[]"),
    ("$[-4:3]", '[2,"a",4,5,100,"nice"]', "[4]"),
    ("$[3:0:-2]", '["first","second","third","forth","fifth"]', "[]"),
    ("$[7:3:-1]", '["first","second","third","forth","fifth"]', "[]"),
    ("$[0:3:-2]", '["first","second","third","forth","fifth"]', '["third","first"]'),
    ("$[::-2]", '["first","second","third","forth","fifth"]', '["fifth","third","first"]'),
    ("$[1:]", '["first","second","third","forth","fifth"]', '["second","third","forth","fifth"]'),
    ("$[3::-1]", '["first","second","third","forth","fifth"]', '["fifth","forth"]'),
    ("$[:2]", '["first","second","third","forth","fifth"]', '["first","second"]'),
    ("$[:]", '["first","second"]', '["first","second"]'),
    ("$[::]", '["first","second"]', '["first","second"]'),
    ("$[:2:-1]", '["first","second","third","forth","fifth"]', '["second","first"]'),
    ("$[3:-4]", '[2,"a",4,5,100,"nice"]', "[]"),
    ("$[3:-3]", '[2,"a",4,5,100,"nice"]', "[]"),
    ("$[3:-2]", '[2,"a",4,5,100,"nice"]', "[5]"),
    ("$[2:1]", '["first","second","third","forth"]', "[]"),
    ("$[0:0]", '["first","second"]', "[]"),
    ("$[0:1]", '["first","second"]', '["first"]'),
    ("$[-1:]", '["first","second","third"]', '["third"]'),
    ("$[-2:]", '["first","second","third"]', '["second","third"]'),
    ("$[-4:]", '["first","second","third"]', '["first","second","third"]'),
    ("$[0:3:2]", '["first","second","third","forth","fifth"]', '["first","third"]'),
    ("$[0:3:1]", '["first","second","third","forth","fifth"]', '["first","second","third"]'),
    ("$[010:024:010]", "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]", "[10,20]"),
    ("$[0:4:2]", '["first","second","third","forth","fifth"]', '["first","third"]'),
    ("$[1:3:]", '["first","second","third","forth","fifth"]', '["second","third"]'),
    ("$[::2]", '["first","second","third","forth","fifth"]', '["first","third","fifth"]'),
    ("$['key']", '{"key":"value"}', '"value"'),
    ("$['two.some']", '{"one":{"key":"value"},"two":{"some":"more","key":"other value"},"two.some":"42"}', '"42"'),
    ('$["key"]', '{"key":"value"}', '"value"'),
    ("$['']", '{"":42,"\'\'":123,"\\"\\"":222}', "42"),
    ('$[""]', '{"":42,"\'\'":123,"\\"\\"":222}', "42"),
    ("$[2]", '["first","second","third","forth","fifth"]', '"third"'),
    ("$.*[1]", "[[1],[2,3]]", "[3]"),
    ("$[-1]", '["first","second","third"]', '"third"'),
    ("$[0]", '["first","second","third","forth","fifth"]', '"first"'),
    ("$[':']", '{":":"value","another":"entry"}', '"value"'),
    ("$[']']", '{"]":42}', "42"),
    ("$['@']", '{"@":"value","another":"entry"}', '"value"'),
    ("$['.']", '{".":"value","another":"entry"}', '"value"'),
    ("$['.*']", '{"key":42,".*":1,"":10}', "1"),
    ("$['\"']", '{"\\"":"value","another":"entry"}', '"value"'),
    ("$['\\\\']", '{"\\\\":"value"}', '"value"'),
    ("$['\\'']", '{"\'":"value"}', '"value"'),
    ("$['0']", '{"0":"value"}', '"value"'),
    ("$['$']", '{"$":"value","another":"entry"}', '"value"'),
    ("$[':@.\"$,*\\'\\\\']", '{":@.\\"$,*\'\\\\":42}', "42"),
    ("$[',']", '{",":"value","another":"entry"}', '"value"'),
    ("$['*']", '{"*":"value","another":"entry"}', '"value"'),
    ("$[ 'a' ]", '{" a":1,"a":2," a ":3,"a ":4," \'a\' ":5," \'a":6,"a\' ":7," \\"a\\" ":8,"\\"a\\"":9}', "2"),
    ("$['ni.*']", '{"nice":42,"ni.*":1,"mice":100}', "1"),
    ("$[*]", '["string",42,{"key":"value"},[0,1]]', '["string",42,{"key":"value"},[0,1]]'),
    ("$[*]", "[]", "[]"),
    ("$[*]", "{}", "[]"),
    ("$[*]", "[40,null,42]", "[40,null,42]"),
    ("$[0:2][*]", '[[1,2],["a","b"],[0,0]]', '[[1,2],["a","b"]]'),
    ("$[*].bar[*]", '[{"bar":[42]}]', "[[42]]"),
    ("@.a", '{"a":1}', "1"),
    ("$.['key']", '{"key":"value","other":{"key":[{"key":42}]}}', '"value"'),
    ('$.["key"]', '{"key":"value","other":{"key":[{"key":42}]}}', '"value"'),
    ("$.key", '{"key":"value"}', '"value"'),
    ("$.key", '{"key":["first","second"]}', '["first","second"]'),
    ("$.key", '{"key":{}}', "{}"),
    ("$.key", '{"key":null}', "null"),
    ("$[0:2].key", '[{"key":"ey"},{"key":"bee"},{"key":"see"}]', '["ey","bee"]'),
    ("$[*].a", '[{"a":1},{"a":1}]', "[1,1]"),
    ("$[*].a", '[{"a":1}]', "[1]"),
    ("$[*].a", '[{"a":1},{"b":1}]', "[1]"),
    ("$[?(@.id==42)].name", '[{"id":42,"name":"forty-two"},{"id":1,"name":"one"}]', '["forty-two"]'),
    ("$[0,2].key", '[{"key":"ey"},{"key":"bee"},{"key":"see"}]', '["ey","see"]'),
    ('$."key"', '{"key":"value","\\"key\\"":42}', "42"),
    ("$.in", '{"in":"value"}', '"value"'),
    ("$.length", '{"length":"value"}', '"value"'),
    ("$.length", "[4,5,6]", "3"),
    ("$.null", '{"null":"value"}', '"value"'),
    ("$.true", '{"true":"value"}', '"value"'),
    ("$.$", '{"$":"value"}', '{"$":"value"}'),
    ("$.屬性", '{"屬性":"value"}', '"value"'),
    ("$.2", '{"a":"first","2":"second","b":"third"}', '"second"'),
    ("$.'key'", '{"key":"value","\'key\'":42}', "42"),
    ("$.'some.key'", '{"some.key":42,"some":{"key":"value"},"\'some.key\'":43}', "43"),
    ("$. a", '{" a":1,"a":2," a ":3,"":4}', "2"),
    ("$.*", '["string",42,{"key":"value"},[0,1]]', '["string",42,{"key":"value"},[0,1]]'),
    ("$.*", "[]", "[]"),
    ("$.*", "{}", "[]"),
    ("$.*.bar.*", '[{"bar":[42]}]', "[[42]]"),
    ("$.*.*", "[[1,2,3],[4,5,6]]", "[[1,2,3],[4,5,6]]"),
    ("$..*", "[40,null,42]", "[40,42,null]"),
    ("$..*", "42", "[]"),
    ("$[?(@.key)]", '{"key":42,"another":{"key":1}}', '[{"key":1}]'),
    ("$[?(@.key+50==100)]", '[{"key":60},{"key":50},{"key":10},{"key":-50},{"key+50":100}]', '[{"key":50}]'),
    ("$[?(@.key>42 && @.key<44)]", '[{"key":42},{"key":43},{"key":44}]', '[{"key":43}]'),
    ("$[?(@.key>43 || @.key<43)]", '[{"key":42},{"key":43},{"key":44}]', '[{"key":42},{"key":44}]'),
    ("$[?(@['@key']==42)]", '[{"@key":0},{"@key":42},{"key":42},{"@key":43},{"some":"value"}]', '[{"@key":42}]'),
    ("$[?(@[-1]==2)]", '[[2,3],["a"],[0,2],[2]]', "[[0,2],[2]]"),
    ("$[?(@[1]=='b')]", '[["a","b"],["x","y"]]', '[["a","b"]]'),
    ("$[?(@[1]=='b')]", '{"1":["a","b"],"2":["x","y"]}', '[["a","b"]]'),
    ("$[?(@)]", '["some value",null,"value",0,1,-1,"",[],{},false,true]', '["some value","value",1,-1,true]'),
    ("$[?(@.key/10==5)]", '[{"key":60},{"key":50},{"key":10},{"key":-50},{"key/10":5}]', '[{"key":50}]'),
    ("$[?(@.key-dash == 'value')]", '[{"key-dash":"value"}]', "[]"),
    ("$[?(@.2 == 'second')]", '[{"a":"first","2":"second","b":"third"}]', '[{"2":"second","a":"first","b":"third"}]'),
    ("$[?(@.2 == 'third')]", '[["first","second","third","forth","fifth"]]', "[]"),
    ("$[?(@==42)]", "[0,42,-1,41,43,42.0001,41.9999,null,100]", "[42]"),
    ("$[?(@.key==43)]", '[{"key":42}]', "[]"),
    ("$[?(@.id==2)]", '{"id":2}', "[]"),
    ("$[?(@[0:1]==[1])]", "[[1,2,3],[1],[2,3],1,2]", "[[1,2,3],[1]]"),
    ("$[?(@.*==[1,2])]", "[[1,2],[2,3],[1],[2],[1,2,3],1,2,3]", "[[1,2]]"),
    ("$[?((@.key<44)==false)]", '[{"key":42},{"key":43},{"key":44}]', '[{"key":44}]'),
    ("$[?(@[0:1]==1)]", "[[1,2,3],[1],[2,3],1,2]", "[]"),
    ("$[?(@[*]==2)]", "[[1,2],[2,3],[1],[2],[1,2,3],1,2,3]", "[]"),
    ("$[?(@.*==2)]", "[[1,2],[2,3],[1],[2],[1,2,3],1,2,3]", "[]"),
    ("$[?(@.key==010)]", '[{"key":"010"},{"key":"10"},{"key":10},{"key":0},{"key":8}]', '[{"key":10}]'),
    ('$[?(@.key=="some.value")]', '[{"key":"some"},{"key":"value"},{"key":"some.value"}]', '[{"key":"some.value"}]'),
    ("$[?(@.key=='value')]", '[{"key":"some"},{"key":"value"}]', '[{"key":"value"}]'),
    ("$.items[?(@.key==$.value)]", '{"value":42,"items":[{"key":10},{"key":42},{"key":50}]}', '[{"key":42}]'),
    ("$[?(@.d in [2, 3])]", '[{"d":1},{"d":2},{"d":1},{"d":3},{"d":4}]', '[{"d":2},{"d":3}]'),
    ("$[?(@.key*2==100)]", '[{"key":60},{"key":50},{"key":10},{"key":-50},{"key*2":100}]', '[{"key":50}]'),
    ("$[?(@[*]>=4)]", "[[1,2],[3,4],[5,6]]", "[]"),
    ("$.x[?(@[*]>=$.y[*])]", '{"x":[[1,2],[3,4],[5,6]],"y":[3,4,5]}', "[]"),
    ("$[?(@.key-50==-100)]", '[{"key":60},{"key":50},{"key":10},{"key":-50},{"key-50":-100}]', '[{"key":-50}]'),
    ("$[?(1==1)]", '[1,3,"nice",true,null,false,{},[],-1,0,""]', '[1,3,"nice",true,null,false,{},[],-1,0,""]'),
    ("$.*[?(@.key)]", '[{"some":"some value"},{"key":"value"}]', "[[],[]]"),
    ("$[?(false)]", '[1,3,"nice",true,null,false,{},[],-1,0,""]', "[]"),
    ("$[?(null)]", '[1,3,"nice",true,null,false,{},[],-1,0,""]', "[]"),
    ("$[?(true)]", '[1,3,"nice",true,null,false,{},[],-1,0,""]', '[1,3,"nice",true,null,false,{},[],-1,0,""]'),
    ("$..", '[{"a":{"b":"c"}},[0,1]]', '[[{"a":{"b":"c"}},[0,1]],{"a":{"b":"c"}},{"b":"c"},"c",[0,1],0,1]'),
    ("$", '{"key":"value","another key":{"complex":["a",1]}}', '{"another key":{"complex":["a",1]},"key":"value"}'),
    ("$", "42", "42"),
    ("$", "false", "false"),
    ("$", "true", "true"),
    ("$[(@.length-1)]", '["first","second","third","forth","fifth"]', '"fifth"'),
    ("$[0,1]", '["first","second","third"]', '["first","second"]'),
    ("$[0,0]", '["a"]', '["a","a"]'),
    ("$['a','a']", '{"a":1}', "[1,1]"),
    ("$['key','another']", '{"key":"value","another":"entry"}', '["value","entry"]'),
    ("$['missing','key']", '{"key":"value","another":"entry"}', '["value"]'),
    ("$[0]['c','d']", '[{"c":"cc1","d":"dd1","e":"ee1"},{"c":"cc2","d":"dd2","e":"ee2"}]', '["cc1","dd1"]'),
    ("$[4,1]", "[1,2,3,4,5]", "[5,2]"),
    ("$[ 0 , 1 ]", '["first","second","third"]', '["first","second"]'),
]

LEADS_NOWHERE = [
    ("$.key", "[0,1]"),
    ("$[1:3]", '{":":42,"more":"string","a":1,"b":2,"c":3,"1:3":"nice"}'),
    ("$[:]", '{":":42,"more":"string"}'),
    ("$[0:3:0]", '["first","second","third","forth","fifth"]'),
    ("$['missing']", '{"key":"value"}'),
    ("$['ü']", '{"ü":42}'),
    ("$[]", '{"":42,"\'\'":123,"\\"\\"":222}'),
    ("$[-2]", '["one element"]'),
    ("$[0]", '{"0":"value"}'),
    ("$[1]", '["one element"]'),
    ("$[-1]", "[]"),
    ("$['single'quote']", '{"single\'quote":"value"}'),
    ("$['*']", '{"another":"entry"}'),
    ("$[two.some]", '{"one":{"key":"value"},"two":{"some":"more","key":"other value"},"two.some":"42"}'),
    ("$[key]", '{"key":"value"}'),
    ("$.[key]", '{"key":"value","other":{"key":[{"key":42}]}}'),
    ("$.id", '[{"id":2}]'),
    ("$.missing", '{"key":"value"}'),
    ("$.", '{"key":42,"":9001,"\'\'":"nice"}'),
    ("$.2", '["first","second","third","forth","fifth"]'),
    ("$.-1", '["first","second","third","forth","fifth"]'),
    ("$a", '{"a":1,"$a":2}'),
    (".key", '{"key":"value"}'),
    ("key", '{"key":"value"}'),
    ("$[?()]", '[1,{"key":42},"value",null]'),
    ("", '{"a":42,"":21}'),
    ("$.data.sum()", '{"data":[1,2,3,4]}'),
    ("$(key,more)", '{"key":1,"some":2,"more":3}'),
    ("$.*[0,:5]", '{"a":["string",null,true],"b":[false,"string",5.4]}'),
    ("$[1:3,4]", "[1,2,3,4,5]"),
    ("$[*,1]", '["first","second","third","forth","fifth"]'),
]


PODS: dict[str, Any] = {
    "items": [
        {"kind": "Pod", "n": 1, "ports": {"http": [80, 81]}},
        {"kind": "Job", "n": 2, "title": "it's a job"},
    ],
    "name": "items",
    "text": "h\u00e9llo",
}

#: Numbers that are whole or not, small or large, are all alike, as JSON knows one kind only.
NUMBERS: dict[str, Any] = {"list": [1, 2.0, 1000000, 1e6, 10**400], "pair": [[1000000, 2]], "position": 1.0}

ALIKE = [
    ("$.list[?(@ == 2)]", [2.0]),
    ("$.list[?(@ == 1000000)]", [1000000, 1e6]),
    ("$.list[?(@ in [1.0, 1e6])]", [1, 1000000, 1e6]),
    ("$.list[?(@ > 1e300)]", [10**400]),
    ("$.pair[?(@ == [1e6, 2.0])]", [[1000000, 2]]),
    ("$.list[?(@ == $.pair[0][0])]", [1000000, 1e6]),
    ("$.list[($.position)]", 2.0),
    ("$.list[?(@ % 2 == 1)]", [1]),
]

READ_AS_MEANT = [
    ("$.items[?(@.kind == 'Pod')].n", [1]),
    ("$.items[?((@.n == 1) || (@.n == 2))].kind", ["Pod", "Job"]),
    ('$.items[?(@.kind in ["Pod"])].n', [1]),
    ('$.items[?(@.kind not in ["Pod"])].n', [2]),
    ("$.items[?(80 in @.ports.http)].n", [1]),
    ("$.items[?(@.ports.*[0])].n", [1]),
    ("$.items[?(@.title == 'it\\'s a job')].n", [2]),
    ('$.items[?(@.title == "it\'s a job")].n', [2]),
    ("$.items[?(@.kind =~ '^J')].n", [2]),
    ("$.items[?(@.n > -1 && !(@.n == 2))].n", [1]),
    ("$.items[?(@.n * 2 + 1 == 5)].n", [2]),
    ("$.items[?(@.n ** 2 == 4 && @.n % 2 == 0)].n", [2]),
    ("$.items[?(@.n == 9-3-5)].n", []),
    ("$.items[?(@.missing == null)].n", []),
    ("$.items[?(@.ports == 'map[http:[80 81]]')].n", []),
    ("$.items[?(@.kind =~ '^(o|b|P)+(o|d)*$')].n", [1]),
    ("$.items[?(@.n / 0 > 1)].n", []),
    ("$.items[?(@.kind =~ '(')].n", []),
    ("$.items[(@.length-1)].kind", "Job"),
    ("$.items[0,(@.length-1)].n", [1, 2]),
    ("$.items[0:(@.length-1)].n", [1]),
    ("$[($.name)][0].n", 1),
    ("$['items'][-1]['n']", 2),
    ("$.items[0:2][1].n", 2),
    ("$..ports.http", [80, 81]),
    ("$.text.length", 6),
]

UNREADABLE = [
    "$.items[",
    "$.items[?(@.n == 1",
    "$.items[?@.n]",
    "$.items[0:1:2:3]",
    "$.items['a':]",
    "$.items[0,]",
    "$.items[?(" + "(" * 200 + "1" + ")" * 200 + ")]",
    "$" + ".a" * 200,
]

WITHOUT_VALUE = [
    ("$.items.n", "'n' is looked up in a list"),
    ("$.items[2]", "there is no element 2 in a list of 2"),
    ("$.name[0]", "elements are looked up in a text"),
    ("$.name.*", "members are looked up in a text"),
    ("$.items[0].n.length", "a number has no length"),
    ("$.items['a','b']", "keys are looked up in a list"),
    ("$.items[0,($.name)]", "a list of keys and numbers is mixed"),
    ("$.items[:($.name)]", "a slice needs whole numbers, not 'items'"),
    ("$.items[(@)]", "a script gives a list, not a number or a key"),
]


@pytest.mark.parametrize(("path", "data", "expected"), SELECTS)
def test_selects(path: str, data: str, expected: str) -> None:
    selected, wanted = evaluate_jsonpath(path, json.loads(data)), json.loads(expected)
    if ".." in path:
        selected, wanted = sorted(selected, key=json.dumps), sorted(wanted, key=json.dumps)
    assert json.dumps(selected, sort_keys=True) == json.dumps(wanted, sort_keys=True)


@pytest.mark.parametrize(("path", "data"), LEADS_NOWHERE)
def test_leads_nowhere(path: str, data: str) -> None:
    with pytest.raises(ExpressionError, match="JSONPath"):
        evaluate_jsonpath(path, json.loads(data))


@pytest.mark.parametrize(("path", "expected"), READ_AS_MEANT)
def test_reads_as_meant(path: str, expected: Any) -> None:
    assert evaluate_jsonpath(path, PODS) == expected


@pytest.mark.parametrize(("path", "expected"), ALIKE)
def test_numbers_are_alike(path: str, expected: Any) -> None:
    assert evaluate_jsonpath(path, NUMBERS) == expected


@pytest.mark.parametrize("path", UNREADABLE)
def test_unreadable_paths_are_refused(path: str) -> None:
    with pytest.raises(ExpressionError, match="cannot be read|nested too deeply"):
        evaluate_jsonpath(path, PODS)


@pytest.mark.parametrize(("path", "message"), WITHOUT_VALUE)
def test_says_where_a_path_ends(path: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate_jsonpath(path, PODS)
    assert caught.value.message == f"JSONPath '{path}': {message}."


@pytest.mark.parametrize("path", ["$..*..*..*", "$[?(@..*..*..*)]"])
def test_bounds_what_it_visits(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = [[[[1] * 4] * 4] * 4]
    assert evaluate_jsonpath(path, data)
    monkeypatch.setattr(jsonpath, "_MAX_STEPS", 1000)
    with pytest.raises(ExpressionError, match="visits more than"):
        evaluate_jsonpath(path, data)


def test_follows_deep_data() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    assert evaluate_jsonpath("$..[0]", deep)[-1] == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_the_root_is_the_data(data: Any) -> None:
    assert evaluate_jsonpath("$", data) == data


@given(st.lists(JSON, max_size=6), st.none() | st.integers(-8, 8), st.none() | st.integers(-8, 8))
def test_slices_are_those_of_lists(items: list[Any], start: int | None, stop: int | None) -> None:
    path = f"$[{'' if start is None else start}:{'' if stop is None else stop}]"
    assert evaluate_jsonpath(path, items) == items[start:stop]


@given(st.dictionaries(st.text(max_size=6), st.integers(), min_size=1, max_size=4))
def test_every_key_can_be_quoted(data: dict[str, int]) -> None:
    for key, value in data.items():
        quoted = key.replace("\\", "\\\\").replace("'", "\\'")
        assert evaluate_jsonpath(f"$['{quoted}']", data) == value


@given(st.text("$@.[]()?*'\"=!&|<>+-,: abn01", max_size=25))
def test_any_text_is_read_or_refused(rest: str) -> None:
    with suppress(ExpressionError):
        evaluate_jsonpath("$" + rest, PODS)
