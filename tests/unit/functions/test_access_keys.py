"""/keys, and what a key may do at each function."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from clickbait.settings import settings
from clickbait.store import access_keys, history
from functions.admin import schemas
from functions.batch import app as batch
from functions.predict import app as predict
from tests.samples.drawn import encoded, picture

JPEG = encoded(picture())


@pytest.fixture(autouse=True)
def fresh(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    access_keys.gate.cache_clear()
    monkeypatch.setattr(history, "log", lambda *_, **__: None)
    yield
    access_keys.gate.cache_clear()
    settings.cache_clear()


def make(admin: TestClient, role: str = "predict", **more: Any) -> dict[str, Any]:
    answer = admin.post("/keys", json={"name": "site", "role": role} | more)
    assert answer.status_code == 201, answer.text
    schemas.MadeKey.model_validate_json(answer.content)
    return dict(answer.json())


def bearer(key: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {key['key']}"}


def classify(headers: dict[str, str]) -> Any:
    return TestClient(predict.app).post(
        "/predict", files={"file": ("a.jpg", JPEG)}, headers=headers
    )


def test_a_key_is_made_listed_without_its_text_and_revoked(admin: TestClient) -> None:
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    made = make(admin, quota=100, ends=later)
    listed = admin.get("/keys")
    schemas.Keys.model_validate_json(listed.content)
    (key,) = listed.json()["items"]
    assert key == {name: value for name, value in made.items() if name != "key"}
    assert made["key"] not in listed.text
    assert key["state"] == "active" and key["used_today"] == 0
    revoked = admin.post(f"/keys/{key['id']}/revoke")
    schemas.Key.model_validate_json(revoked.content)
    assert revoked.json()["state"] == "revoked"
    assert classify(bearer(made)).status_code == 403
    assert admin.post("/keys/000000000000/revoke").status_code == 404


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"role": "admin"}, "role"),
        ({"quota": 0}, "quota"),
        ({"ends": "2020-01-01T00:00:00Z"}, "in the past"),
        ({"ends": "2090-01-01T00:00:00"}, "ends"),
        ({"ends": "9999-12-31T23:59:59-12:00"}, "9998 at most"),
        ({"secret": "x"}, "secret"),
    ],
)
def test_a_wrong_field_is_named(admin: TestClient, change: dict[str, Any], says: str) -> None:
    answer = admin.post("/keys", json={"name": "a", "role": "predict"} | change)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


def test_a_member_key_reads_and_changes_nothing_that_is_an_admins(
    client: TestClient, admin: TestClient
) -> None:
    key = make(admin, "member")
    assert client.get("/models", headers=bearer(key)).status_code == 200
    refused = client.get("/keys", headers=bearer(key))
    assert refused.status_code == 403
    assert "role member" in refused.json()["detail"]
    assert TestClient(batch.app).get("/batches/none", headers=bearer(key)).status_code == 404


def test_a_predict_key_predicts_and_no_more(client: TestClient, admin: TestClient) -> None:
    key = make(admin)
    assert classify(bearer(key)).status_code == 200
    refused = client.get("/models", headers=bearer(key))
    assert refused.status_code == 403
    assert "role predict" in refused.json()["detail"]


def test_a_quota_is_answered_429_with_what_is_left(admin: TestClient) -> None:
    key = make(admin, quota=2)
    assert [classify(bearer(key)).status_code for _ in range(3)] == [200, 200, 429]
    answer = classify(bearer(key))
    assert (answer.json()["limit"], answer.json()["left"]) == (2, 0)
    assert answer.json()["type"] == "/docs/problems/too-many-requests"
    many = TestClient(batch.app).post(
        "/predict-batch",
        files=[("files", ("a.jpg", JPEG))] * 3,
        headers=bearer(make(admin, quota=2)),
    )
    assert (many.status_code, many.json()["left"]) == (429, 2)


def test_predictions_need_a_key_if_the_service_says_so(admin: TestClient, cloud: Any) -> None:
    key = make(admin)
    assert classify({}).status_code == 200
    assert classify({"authorization": "Bearer anything"}).status_code == 200
    cloud.set(PREDICT_ACCESS="keys")
    assert classify({}).status_code == 401
    assert "POST /keys" in classify({}).json()["detail"]
    assert classify({"authorization": "Bearer anything"}).status_code == 403
    assert classify(bearer(key)).status_code == 200
    assert classify(cloud.admin).status_code == 200
    many = TestClient(batch.app).post("/predict-batch", files=[("files", ("a.jpg", JPEG))])
    assert many.status_code == 401


def test_a_key_is_in_no_log(admin: TestClient, capfd: Any) -> None:
    key = make(admin)
    classify(bearer(key))
    written = capfd.readouterr()
    assert key["key"] not in written.out + written.err
