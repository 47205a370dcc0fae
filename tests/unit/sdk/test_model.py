"""What a Model says when it is made; what it finds is tested with the client."""

from __future__ import annotations

import pytest

from tiphys.errors import DefinitionError
from tiphys.records.models import ModelStage
from tiphys.sdk.model import Model, ModelStages


def test_all_that_was_said_is_asked_for():
    model = Model(
        "churn",
        license="MIT",
        description="Who leaves.",
        audience="a",
        use_cases="u",
        limitations="l",
        trade_offs="t",
        ethics="e",
        tags=["x", "y"],
        save_models_to_registry=False,
    )
    request = model.to_request()
    assert (request.name, request.version, request.description) == ("churn", None, "Who leaves.")
    assert request.card == {
        "license": "MIT",
        "description": "Who leaves.",
        "audience": "a",
        "use_cases": "u",
        "limitations": "l",
        "trade_offs": "t",
        "ethics": "e",
    }
    assert (request.tags, request.save_models_to_registry) == (("x", "y"), False)


@pytest.mark.parametrize(
    ("given", "asked"),
    [(None, None), (3, "3"), ("3", "3"), (ModelStages.PRODUCTION, "production"), ("latest", "latest"), ("v1", "v1")],
)
def test_versions(given, asked):
    assert Model("m", given).to_request().version == asked


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "name=''"),
        ({"name": 3}, "name=3"),
        ({"name": "m", "version": ""}, "version=''"),
        ({"name": "m", "version": 1.5}, "version=1.5"),
        ({"name": "m", "version": True}, "version=True"),
        ({"name": "m", "tags": "one"}, "tags='one'"),
    ],
)
def test_what_is_no_model(fields, said):
    with pytest.raises(DefinitionError, match=said):
        Model(**fields)


def test_models_are_equal_if_they_say_the_same():
    assert Model("m", 3, tags=["a"]) == Model("m", "3", tags=("a",))
    assert Model("m", 3) != Model("m", 4)
    assert Model("m") != Model("m", license="MIT")
    assert len({Model("m", ModelStage.PRODUCTION), Model("m", "production")}) == 1
