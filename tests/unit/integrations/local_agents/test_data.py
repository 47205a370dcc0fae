"""Data templates: what is listed and how it is transformed."""

from __future__ import annotations

import pytest
from tests.unit.integrations.local_agents.agency import Agency

from tiphys.engine.model import Phase

FILES = ["bar.pdf", "foo.py", "goo/foo.py", "moo/bar.pdf"]


def data(*expressions, **paths):
    source = {"artifactPaths": {"name": "in", **paths}}
    return {"data": {"source": source, "transformation": [{"expression": each} for each in expressions]}}


# Values of argo-workflows, workflow/data/data_test.go.
@pytest.mark.parametrize(
    ("expressions", "result"),
    [
        ([], '["bar.pdf","foo.py","goo/foo.py","moo/bar.pdf"]'),
        ([""], '["bar.pdf","foo.py","goo/foo.py","moo/bar.pdf"]'),
        (["filter(data, {# endsWith '.py'})"], '["foo.py","goo/foo.py"]'),
        (["filter(data, {# contains '/'})", "filter(data, {# contains 'foo'})"], '["goo/foo.py"]'),
        (["filter(data, {not(# contains '/')})", "map(data, {# + '.x'})"], '["bar.pdf.x","foo.py.x"]'),
        (["map(data, {{'name': #, 'half': len(#) / 2}})", "data[0]"], '{"half":3.5,"name":"bar.pdf"}'),
        (["map(data, {'<' + #})", "data[:1]"], '["\\u003cbar.pdf"]'),
        (["len(data) / 2"], "2"),
    ],
)
def test_transformations(agency: Agency, expressions, result) -> None:
    agency.sources.files = dict.fromkeys(FILES, b"")
    finished = agency.run(data(*expressions, s3={"bucket": "b"}))
    assert (finished.phase, finished.message) == (Phase.SUCCEEDED, "")
    assert finished.outputs is not None
    assert finished.outputs.result == result


def test_artifacts_of_our_own_store(agency: Agency) -> None:
    with agency.store.staging() as folder:
        (folder / "a").mkdir()
        (folder / "a" / "x.txt").write_text("1")
        (folder / "b.txt").write_text("2")
        digest = agency.store.commit(folder).digest
    for finished in (
        agency.run(data(digest=digest, form="folder")),
        agency.run(data(), **{"in": {"name": "in", "digest": digest, "form": "folder"}}),
    ):
        assert finished.outputs is not None
        assert finished.outputs.result == '["a/x.txt","b.txt"]'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"data": {"source": {}}}, "artifactPaths is missing"),
        (data(), "'in' has no location, and no input artifact has this name"),
        (data("map(data, {# + '.x'}", s3={"key": "a"}), "data.transformation[0].expression: "),
        (data("data", "data.x.y", s3={"key": "a"}), "data.transformation[1].expression: "),
    ],
)
def test_what_cannot_be_carried_out_is_an_error(agency: Agency, body, message) -> None:
    agency.sources.files = {"a": b""}
    finished = agency.run(body)
    assert finished.phase is Phase.ERROR
    assert message in finished.message
