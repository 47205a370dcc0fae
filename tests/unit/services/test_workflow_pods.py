"""What pods are told of their workflow."""

from __future__ import annotations

import json

import pytest

from tiphys.services.workflows.pods import may_refer_to_results


@pytest.mark.parametrize(
    "text",
    [
        "{{steps.flip.outputs.result}} == heads",
        "{{=steps['flip'].outputs.result}}",
        "{{=steps['flip']['outputs']['result']}}",
        "{{=tasks.flip.outputs?.result ?? 'none'}}",
        "{{outputs.result}}",
    ],
)
def test_a_manifest_that_refers_to_a_result_is_seen(text: str) -> None:
    assert may_refer_to_results(json.dumps({"spec": {"templates": [{"when": text}]}}))


@pytest.mark.parametrize(
    "text", ["{{steps.flip.outputs.parameters.side}}", "the result", "{{outputs.artifacts.results}}"]
)
def test_a_manifest_that_refers_to_none_is_seen(text: str) -> None:
    assert not may_refer_to_results(json.dumps({"spec": {"templates": [{"when": text}]}}))
