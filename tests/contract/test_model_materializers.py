"""The materializers' suite over scikit-learn's estimators; equal fits are equal artifacts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from tests.contract.values import InLocalStore
from tiphys.errors import ArtifactError
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.records.artifacts import ArtifactType
from tiphys.sdk.materializing import find_materializer, load_value, save_value
from tiphys.testing.materializer_contract import ref_to

np = import_module("numpy")
pd = import_module("pandas")
import_module("sklearn")

DATA = """
import numpy as np, pandas as pd
random = np.random.default_rng(0)
X = pd.DataFrame(random.random((200, 4)), columns=["a", "b", "c", "d"])
y = X["a"] * 3 + random.random(200)
label = (y > 1.5).astype(int)
words = pd.DataFrame({"w": ["x", "y", "z", "x"] * 50})
"""

FITS = {
    "forest": "sklearn.ensemble.RandomForestRegressor(20, random_state=0).fit(X, y)",
    "forest_in_parallel": "sklearn.ensemble.RandomForestRegressor(20, random_state=0, n_jobs=2).fit(X, y)",
    "boosting": "sklearn.ensemble.GradientBoostingRegressor(n_estimators=5, random_state=0).fit(X, y)",
    "line": "sklearn.linear_model.LinearRegression().fit(X, y)",
    "pipeline": "sklearn.pipeline.make_pipeline("
    "sklearn.preprocessing.StandardScaler(), sklearn.linear_model.LogisticRegression()).fit(X, label)",
    "clusters": "sklearn.cluster.KMeans(3, random_state=0, n_init=1).fit(X)",
    "encoder": "sklearn.preprocessing.OneHotEncoder().fit(words)",
    "vectorizer": "sklearn.feature_extraction.text.CountVectorizer(stop_words='english').fit(words['w'] * 2)",
    "set_as_parameter": "sklearn.preprocessing.FunctionTransformer(kw_args={'words': {'a', 'b', 'c', 'd'}})",
    "not_fitted": "sklearn.svm.SVC(C=2.0)",
}
IMPORTS = (
    "import sklearn.cluster, sklearn.ensemble, sklearn.feature_extraction.text, sklearn.linear_model\n"
    "import sklearn.pipeline, sklearn.preprocessing, sklearn.svm, sklearn.tree\n"
)


def fit(name: str) -> Any:
    scope: dict[str, Any] = {}
    exec(IMPORTS + DATA + f"model = {FITS[name]}", scope)
    return scope["model"]


class TestSklearn(InLocalStore):
    materializer = "tiphys.integrations.sklearn.materializers:SklearnMaterializer"
    artifact_type = ArtifactType.MODEL

    @pytest.fixture(params=list(FITS))
    def make(self, request: pytest.FixtureRequest) -> Callable[[], Any]:
        return lambda: fit(request.param)

    def equal(self, left: Any, right: Any) -> bool:
        if left.__dict__.keys() != right.__dict__.keys():
            return False
        if not hasattr(left, "predict") or not hasattr(left, "n_features_in_"):
            return bool(left.get_params() == right.get_params())
        data = pd.DataFrame(np.random.default_rng(1).random((10, 4)), columns=["a", "b", "c", "d"])
        return bool(np.allclose(left.predict(data), right.predict(data), rtol=1e-12))

    def test_a_loaded_model_can_be_fitted_again(self, store: ArtifactStore) -> None:
        saved = save_value(fit("line"), store)
        loaded = load_value(ref_to(saved), store)
        assert loaded.coef_.flags.writeable
        loaded.coef_[:] = 0
        assert save_value(fit("line"), store).digest == saved.digest

    def test_metadata_says_what_it_is(self, store: ArtifactStore) -> None:
        metadata = save_value(fit("not_fitted"), store).metadata
        assert metadata["class"] == "sklearn.svm._classes.SVC"
        assert metadata["parameters"]["C"] == 2.0
        assert save_value(fit("forest"), store).metadata["features"] == 4


@pytest.mark.parametrize("name", ["forest_in_parallel", "set_as_parameter"])
def test_equal_fits_in_other_processes(name: str, tmp_path: Any) -> None:
    script = (
        IMPORTS
        + DATA
        + "import sys\n"
        + "from tiphys.integrations.local.artifact_store import LocalArtifactStore\n"
        + "from tiphys.integrations.local.config import LocalArtifactStoreConfig\n"
        + "from tiphys.sdk.materializing import save_value\n"
        + "store = LocalArtifactStore(name='default', config=LocalArtifactStoreConfig(path=sys.argv[1]))\n"
        + f"print(save_value({FITS[name]}, store).digest)"
    )
    digests = [
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert digests[0] == digests[1]
    assert digests[0].startswith("sha256:")


def test_where_the_strings_come_from_does_not_matter(tmp_path: Any) -> None:
    store = _store(tmp_path)
    from sklearn.tree import DecisionTreeClassifier

    scope: dict[str, Any] = {}
    exec(DATA, scope)
    made_elsewhere = "ginix"[:4]
    one = DecisionTreeClassifier(criterion="gini", random_state=0).fit(scope["X"], scope["label"])
    other = DecisionTreeClassifier(criterion=made_elsewhere, random_state=0).fit(scope["X"], scope["label"])
    assert save_value(one, store).digest == save_value(other, store).digest


def test_a_large_model(tmp_path: Any) -> None:
    from sklearn.neighbors import KNeighborsRegressor

    store = _store(tmp_path)
    x = np.random.default_rng(0).random((100_000, 3))
    saved = save_value(KNeighborsRegressor(algorithm="brute").fit(x, x[:, 0]), store)
    loaded = load_value(ref_to(saved), store)
    assert (loaded._fit_X == x).all()
    loaded._fit_X[0] = 5.0
    assert (load_value(ref_to(saved), store)._fit_X == x).all()


def test_bytes_that_a_type_leaves_unused_do_not_matter(tmp_path: Any) -> None:
    from tiphys.sdk.materializers import canonical_pickle

    kind = np.dtype({"names": ["a", "b"], "formats": ["u1", "u4"], "offsets": [0, 4], "itemsize": 8})
    files = []
    for filler in (0, 255):
        array = np.full(80, filler, np.uint8).view(kind)
        array["a"], array["b"] = 1, 2
        files.append(tmp_path / str(filler))
        canonical_pickle.dump({"nodes": array}, files[-1])
        assert (canonical_pickle.load(files[-1])["nodes"] == array).all()
        assert array.view(np.uint8)[1] == filler
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_shared_array_stays_shared(tmp_path: Any) -> None:
    from tiphys.sdk.materializers import canonical_pickle

    array = np.arange(3)
    canonical_pickle.dump([array, array, (), np.zeros(0), np.zeros(0)], tmp_path / "x")
    loaded = canonical_pickle.load(tmp_path / "x")
    assert loaded[0] is loaded[1]
    loaded[0][0] = 9


def test_skops_on_request(tmp_path: Any) -> None:
    import_module("skops")
    from tiphys.integrations.sklearn.materializers import SklearnSkopsMaterializer

    store = _store(tmp_path)
    path = f"{SklearnSkopsMaterializer.__module__}:{SklearnSkopsMaterializer.__qualname__}"
    saved = save_value(fit("line"), store, materializers=[path])
    assert saved.materializer == path
    with store.open_tree(saved.digest) as folder:
        assert [file.name for file in folder.iterdir()] == ["model.skops"]
    loaded = load_value(ref_to(saved), store)
    assert (loaded.coef_ == fit("line").coef_).all()
    for equal in (fit("line"), loaded):
        assert save_value(equal, store, materializers=[path]).digest == saved.digest


def test_skops_with_further_types(tmp_path: Any) -> None:
    import_module("skops")
    from tiphys.integrations.sklearn.materializers import SklearnSkopsMaterializer

    class Trees(SklearnSkopsMaterializer):
        TRUSTED = ("sklearn.tree._tree.Tree",)

    store = _store(tmp_path)
    path = f"{Trees.__module__}:{Trees.__qualname__}"
    saved = save_value(fit("forest"), store, materializers=[path])
    data = pd.DataFrame(np.random.default_rng(1).random((10, 4)), columns=["a", "b", "c", "d"])
    loaded = load_value(ref_to(saved), store)
    assert np.allclose(loaded.predict(data), fit("forest").predict(data))
    assert save_value(fit("forest"), store, materializers=[path]).digest == saved.digest
    assert find_materializer(fit("forest")) is not Trees


def test_skops_refuses_what_it_does_not_know(tmp_path: Any) -> None:
    import_module("skops")
    from sklearn.preprocessing import FunctionTransformer

    store = _store(tmp_path)
    path = "tiphys.integrations.sklearn.materializers:SklearnSkopsMaterializer"
    saved = save_value(FunctionTransformer(_outside), store, materializers=[path])
    with pytest.raises(ArtifactError, match="_outside"):
        load_value(ref_to(saved), store)


def _outside(x: Any) -> Any:
    return x


def _store(path: Any) -> ArtifactStore:
    from tiphys.integrations.local.artifact_store import LocalArtifactStore
    from tiphys.integrations.local.config import LocalArtifactStoreConfig

    return LocalArtifactStore(name="default", config=LocalArtifactStoreConfig(path=str(path / "store")))
