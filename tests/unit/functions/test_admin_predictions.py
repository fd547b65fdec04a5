"""GET /predictions and /predictions/{id}: filters, refusals, shapes, and links to images."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from clickbait.keys import id_of
from clickbait.store import access_keys, history
from functions.admin.monitoring_schemas import PastPrediction, Predictions
from functions.predict import app as predict
from functions.predict.schemas import PredictionAnswer
from tests.samples.drawn import encoded, picture

KEPT = f"review/{datetime.now(UTC).date()}/{'a' * 64}"
OF_BATCH = "inbox/monday/0001.jpg"
UPLOAD = f"uploads/{'b' * 32}"


JPEG = encoded(picture())


@pytest.fixture(autouse=True)
def fresh(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(history, "_paused_until", 0.0)
    monkeypatch.setattr(history, "_failures", 0)
    # Else a page would end early on a busy machine.
    monkeypatch.setattr(history, "SEARCH_SECONDS", float("inf"))
    access_keys.gate.cache_clear()
    yield
    access_keys.gate.cache_clear()


def logged(**more: Any) -> str:
    """Log a prediction, and return its id."""
    changes = {name: more.pop(name) for name in ("uncertain", "model_version") if name in more}
    prediction = {
        "prediction": "clickbait_fake",
        "probability": 0.9,
        "uncertain": False,
        "threshold": 0.5,
        "model_version": "v1",
        "image": {"sha256": "a" * 64},
        "timing_ms": {"total": 9.0},
    }
    made = history.log(prediction | changes, more.pop("source", "predict"), **more)
    assert made is not None
    return made


@pytest.fixture
def member(client: TestClient, admin: TestClient) -> dict[str, str]:
    """The header of a key with the role `member`."""
    made = admin.post("/keys", json={"name": "night shift", "role": "member"}).json()
    return {"authorization": f"Bearer {made['key']}"}


def test_a_list_has_the_promised_shape_and_says_how_far_it_searched(
    admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [logged(request_id=f"r{n}") for n in range(3)]
    body = admin.get("/predictions?limit=2").json()
    Predictions.model_validate(body, strict=True)
    rest = admin.get("/predictions", params={"cursor": body["next"], "limit": 2}).json()
    assert [one["id"] for one in body["items"] + rest["items"]] == made[::-1]
    assert body["searched_to"] == body["items"][-1]["at"]
    assert (rest["searched_to"], rest["next"]) == (None, None)
    monkeypatch.setattr(history, "MAX_READ", 1)
    nothing = admin.get("/predictions?version=v2").json()
    assert nothing["items"] == []
    assert nothing["searched_to"] == body["items"][0]["at"]


def test_filters_reach_the_log(admin: TestClient) -> None:
    ids = {
        "unsure": logged(uncertain=True),
        "other version": logged(model_version="v2"),
        "of a batch": logged(source="worker", batch="monday", file="a.jpg"),
    }

    def found(**query: str) -> list[str]:
        return [one["id"] for one in admin.get("/predictions", params=query).json()["items"]]

    assert found(verdict="unsure") == [ids["unsure"]]
    assert found(version="v2") == [ids["other version"]]
    assert found(source="worker") == found(batch="monday") == [ids["of a batch"]]
    assert found(verdict="clickbait", source="predict") == [ids["other version"]]
    assert found(verdict="legitimate") == found(day="2020-01-01") == []
    assert len(found(**{"class": "clickbait_fake"})) == 3


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "class=real",
        "verdict=maybe",
        "source=api",
        "day=yesterday",
        "day=2026",
        "day=2026-11-22T00:00:00",
        "cursor=abc",
        "version=" + "v" * 65,
    ],
)
def test_a_value_out_of_range_is_422(admin: TestClient, query: str) -> None:
    response = admin.get(f"/predictions?{query}")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


def test_one_prediction_is_found_by_its_id(admin: TestClient, client: TestClient, member) -> None:
    made = logged(source="worker", batch="monday", file="a.jpg", request_id="r1")
    body = admin.get(f"/predictions/{made}").json()
    PastPrediction.model_validate(body, strict=True)
    assert (body["id"], body["batch"], body["file"]) == (made, "monday", "a.jpg")
    assert client.get(f"/predictions/{made}", headers=member).json() == body
    for unknown in ("x", id_of("2026-11-22T10:00:00.000001Z#r1")):
        response = admin.get(f"/predictions/{unknown}")
        assert response.status_code == 404
        assert "30 days" in response.json()["detail"]


def test_a_key_that_only_predicts_may_not_read(client: TestClient, admin: TestClient) -> None:
    made = admin.post("/keys", json={"name": "robot", "role": "predict"}).json()
    robot = {"authorization": f"Bearer {made['key']}"}
    for path in ("/predictions", f"/predictions/{logged()}"):
        assert client.get(path, headers=robot).status_code == 403
        assert client.get(path).status_code == 401


def test_the_answer_to_a_prediction_has_the_id_that_finds_it_again(
    admin: TestClient, cloud: Any
) -> None:
    cloud.s3.put_object(Bucket="data", Key=UPLOAD, Body=JPEG)
    service = TestClient(predict.app)
    sent = service.post("/predict", content=JPEG, headers={"content-type": "image/jpeg"}).json()
    of_upload = service.post("/predict", json={"key": UPLOAD}).json()
    PredictionAnswer.model_validate(sent, strict=True)
    found = admin.get(f"/predictions/{sent['id']}").json()
    for field in ("request_id", "prediction", "probability", "uncertain", "model_version"):
        assert found[field] == pytest.approx(sent[field], abs=1e-6)
    assert (found["source"], found["url"]) == ("predict", None)
    assert f"/{UPLOAD}?" in admin.get(f"/predictions/{of_upload['id']}").json()["url"]


def test_only_an_admin_gets_links_and_only_to_images_that_are_stored(
    admin: TestClient, client: TestClient, member: dict[str, str], cloud: Any
) -> None:
    for key in (KEPT, OF_BATCH, UPLOAD):
        cloud.s3.put_object(Bucket="data", Key=key, Body=b"x")
    of_key = {
        key: logged(key=key) for key in (KEPT, OF_BATCH, UPLOAD, "inbox/monday/deleted.jpg", "")
    }
    listed = {one["id"]: one for one in admin.get("/predictions").json()["items"]}
    for key, made in of_key.items():
        one = admin.get(f"/predictions/{made}").json()
        assert "key" not in one
        stored = key in (KEPT, OF_BATCH, UPLOAD)
        assert stored == (f"/{key}?" in (one["url"] or "")) == bool(listed[made]["url"])
        assert one["review"] == (id_of(key) if key in (KEPT, OF_BATCH) else None)
    for one in client.get("/predictions", headers=member).json()["items"]:
        assert (one["url"], one["review"]) == (None, None)


def test_a_public_service_shows_predictions_to_anybody_but_no_image(
    client: TestClient, cloud: Any
) -> None:
    cloud.set(ACCESS="public")
    cloud.s3.put_object(Bucket="data", Key=OF_BATCH, Body=b"x")
    made = logged(key=OF_BATCH)
    body = client.get(f"/predictions/{made}").json()
    assert (body["id"], body["url"]) == (made, None)


def test_without_a_table_the_error_names_the_setting(admin: TestClient, cloud: Any) -> None:
    cloud.set(TABLE="")
    for path in ("/predictions", "/predictions/x"):
        response = admin.get(path)
        assert response.status_code == 501
        assert "TABLE" in response.json()["detail"]
