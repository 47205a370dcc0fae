"""A Hera script as it stands for any Argo, run by `tiphys server`.

pip install 'tiphys[server]' hera
tiphys server
export REQUESTS_CA_BUNDLE=…        # the line that the server prints
python train_and_evaluate.py
"""

import sys

from hera.workflows import Steps, Workflow, WorkflowsService, script


@script()
def preprocess() -> None:
    print("s3://ml-artifacts/data/clean.parquet")


@script()
def train(data_uri: str) -> None:
    print(data_uri.replace("data/clean.parquet", "models/model.pkl"))


@script()
def evaluate(model_uri: str) -> None:
    print(f"evaluating {model_uri}")


HOST = sys.argv[1] if len(sys.argv) > 1 else "https://localhost:2746"

with (
    Workflow(
        generate_name="ml-train-eval-",
        entrypoint="steps",
        namespace="argo",
        workflows_service=WorkflowsService(host=HOST),
    ) as workflow,
    Steps(name="steps"),
):
    data = preprocess()
    model = train(arguments={"data_uri": data.result})
    evaluate(arguments={"model_uri": model.result})

made = workflow.create(wait=True)
print(made.metadata.name, made.status.phase)
