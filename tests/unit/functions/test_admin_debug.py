"""GET /debug: versions, settings, and the last requests."""

from typing import Any

from fastapi.testclient import TestClient

from clickbait.web.app import MAX_REMEMBERED_PATH, RECENT_REQUESTS
from functions.admin import schemas
from tests.unit.functions.conftest import TOKEN


def test_versions_and_settings_are_shown_without_secrets(admin: TestClient, cloud: Any) -> None:
    answer = admin.get("/debug")
    schemas.Debug.model_validate_json(answer.content, strict=True)
    body = answer.json()
    assert body["versions"]["python"].startswith("3.")
    assert body["versions"]["fastapi"]
    assert body["settings"]["models_bucket"] == "models"
    assert body["settings"]["admin_secret"] == "stack-admin"
    assert TOKEN not in answer.text


def test_the_last_fifty_requests_are_listed_newest_first(admin: TestClient) -> None:
    for n in range(RECENT_REQUESTS):
        admin.get(f"/runs/number-{n}?token=in-the-query")
    last = admin.get("/models?limit=0")
    body = admin.get("/debug").json()["recent_requests"]
    assert len(body) == RECENT_REQUESTS
    assert body[0]["path"] == "/models"
    assert body[0]["status"] == 422
    assert body[0]["method"] == "GET"
    assert body[0]["request_id"] == last.headers["x-request-id"]
    assert body[0]["ms"] > 0
    assert body[-1]["path"] == "/runs/number-1"
    assert "in-the-query" not in str(body)


def test_a_long_path_is_cut(admin: TestClient) -> None:
    admin.get("/" + "x" * 5_000)
    body = admin.get("/debug").json()["recent_requests"]
    assert len(body[0]["path"]) == MAX_REMEMBERED_PATH


def test_a_library_without_metadata_has_no_version(admin: TestClient, monkeypatch) -> None:
    from functions.admin import debug

    monkeypatch.setattr(debug, "LIBRARIES", ("nothing-of-this-name",))
    assert admin.get("/debug").json()["versions"]["nothing-of-this-name"] is None
