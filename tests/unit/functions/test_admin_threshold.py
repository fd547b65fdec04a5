"""The threshold of the service, and trying a version on one image."""

import math
from typing import Any

import pytest
from fastapi.testclient import TestClient

from clickbait.inference.calibration import Calibration, sigmoid
from clickbait.inference.classifier import Classifier
from clickbait.store.registry import Registry
from functions.admin import schemas, trial
from functions.predict.schemas import PredictionAnswer
from tests.samples.drawn import encoded, picture
from tests.samples.shipped import SIDE
from tests.unit.functions.conftest import BASELINE, METADATA

NEW = "20990102-000000-bbbbbb"
JPEG = encoded(picture())
OWN = METADATA["threshold"]


def put(admin: TestClient, threshold: Any, **body: Any) -> Any:
    return admin.put("/threshold", json={"threshold": threshold, "reason": "a test"} | body)


def test_a_threshold_is_stored_shown_and_taken_back(admin: TestClient, cloud: Any) -> None:
    answer = put(admin, 0.35)
    schemas.ThresholdAnswer.model_validate_json(answer.content, strict=True)
    record = answer.json()["promotion"]
    assert answer.json() == {
        "changed": True, "version": BASELINE, "threshold": 0.35, "model_threshold": OWN,
        "promotion": record,
    }  # fmt: skip
    assert record["by"].startswith("admin, request ") and record["reason"] == "a test"
    assert Registry("models").pointer().threshold == 0.35
    assert not put(admin, 0.35).json()["changed"]

    assert admin.get(f"/models/{BASELINE}").json()["threshold"] == 0.35
    admin.post(f"/models/{cloud.version(NEW)}/promote", json={"reason": "a test", "force": True})
    assert admin.get(f"/models/{NEW}").json()["threshold"] == 0.35
    history = admin.get("/promotions")
    schemas.Promotions.model_validate_json(history.content, strict=True)
    assert [item.get("change") for item in history.json()["items"]] == [None, "threshold"]
    assert history.json()["items"][1] == record

    back = put(admin, None).json()
    assert (back["version"], back["threshold"]) == (NEW, OWN)
    now = admin.get("/promotions").json()
    # The live version is the one that was promoted, with the threshold of now.
    assert (now["live"]["version"], now["live"]["previous"]) == (NEW, BASELINE)
    assert now["live"]["threshold"] is None and len(now["items"]) == 3
    then = admin.get("/promotions", params={"at": record["at"]}).json()["live"]
    assert (then["version"], then["at"], then["threshold"]) == (BASELINE, None, 0.35)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"threshold": 0.049}, "threshold"),
        ({"threshold": 0.951}, "threshold"),
        ({"threshold": "0.5"}, "threshold"),
        ({"threshold": True}, "threshold"),
        ({"threshold": 0.5, "reason": " x "}, "reason"),
        ({"threshold": 0.5, "version": "x"}, "version"),
    ],
)
def test_a_wrong_threshold_is_422_and_changes_nothing(
    admin: TestClient, cloud: Any, body: dict[str, Any], field: str
) -> None:
    answer = admin.put("/threshold", json={"reason": "a test"} | body)
    assert answer.status_code == 422
    assert field in answer.json()["errors"][0]["field"]
    assert cloud.keys("models") == []


def test_the_threshold_itself_must_be_named(admin: TestClient) -> None:
    answer = admin.put("/threshold", json={"reason": "a test"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "threshold")


def test_a_promotion_at_the_same_moment_is_409(
    admin: TestClient, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "_point", lambda *_: False)
    answer = put(admin, 0.35)
    assert (answer.status_code, "again" in answer.json()["detail"]) == (409, True)


# --- trying a version ----------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def nothing_loaded() -> None:
    trial._loaded.cache_clear()


def attempt(admin: TestClient, version: str, data: bytes = JPEG, query: str = "") -> Any:
    return admin.post(f"/models/{version}/predict{query}", files={"file": ("a.jpg", data)})


def test_a_version_answers_as_it_would_if_it_were_live(admin: TestClient, cloud: Any) -> None:
    timid = METADATA["calibration"] | {"temperature": 5.0}
    cloud.version(NEW, calibration=timid, golden=_golden(timid))
    before, after = attempt(admin, BASELINE), attempt(admin, NEW, query="?explain=true")
    for answer, version in ((before, BASELINE), (after, NEW)):
        PredictionAnswer.model_validate_json(answer.content, strict=True)
        assert answer.json()["model_version"] == answer.headers["x-model-version"] == version
    assert "heatmap" not in before.json() and len(after.json()["heatmap"]) == SIDE
    assert before.json()["probability"] != after.json()["probability"]
    raw = admin.post(f"/models/{NEW}/predict", content=JPEG, headers={"content-type": "image/jpeg"})
    assert raw.json()["probability"] == after.json()["probability"]
    assert admin.get("/predictions").json()["items"] == []  # It is no prediction of the service.
    put(admin, 0.95)
    assert attempt(admin, BASELINE).json()["threshold"] == 0.95
    assert attempt(admin, BASELINE, query="?threshold=0.1").json()["threshold"] == 0.1


def _golden(calibration: dict[str, Any]) -> list[dict[str, Any]]:
    shipped, other = (Calibration.from_dict(c) for c in (METADATA["calibration"], calibration))

    def moved(p: float) -> float:
        raw = (math.log(p / (1 - p)) - shipped.bias) * shipped.temperature
        return float(sigmoid(other.logit(raw)))

    return [one | {"probability": moved(one["probability"])} for one in METADATA["golden"]]


def test_an_unknown_version_is_404_and_a_bad_image_as_elsewhere(
    admin: TestClient, cloud: Any
) -> None:
    assert attempt(admin, NEW).status_code == 404
    assert attempt(admin, BASELINE, b"GIF89a").status_code == 415
    assert attempt(admin, BASELINE, JPEG[:3_000]).status_code == 422
    assert attempt(admin, BASELINE, query="?threshold=2").status_code == 422
    cloud.version(NEW, model=b"half a model")
    answer = attempt(admin, NEW)
    assert (answer.status_code, answer.json()["title"]) == (503, "Invalid model")


def test_a_version_is_loaded_once_and_only_a_few_stay(
    admin: TestClient, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    real = Registry.load

    def load(self: Registry, version: str) -> Classifier:
        loaded.append(version)
        return real(self, version)

    monkeypatch.setattr(Registry, "load", load)
    names = [cloud.version(f"2099010{n}-000000-aaaaaa") for n in range(1, trial.LOADED + 2)]
    for version in (names[0], *names[:-1], names[-1], names[0]):
        assert attempt(admin, version).status_code == 200
    assert loaded == [*names, names[0]]
