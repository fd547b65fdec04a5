"""The admin function's look at itself: versions, settings, and the last requests."""

from typing import Any

from fastapi.testclient import TestClient

from clickbait.web.app import MAX_REMEMBERED_PATH, RECENT_REQUESTS
from functions.admin import schemas
from tests.unit.functions.conftest import TOKEN


def test_versions_and_settings_are_told_without_secrets(admin: TestClient, cloud: Any) -> None:
    answer = admin.get("/debug")
    schemas.Debug.model_validate_json(answer.content, strict=True)
    told = answer.json()
    assert told["versions"]["python"].startswith("3.")
    assert told["versions"]["fastapi"]
    assert told["settings"]["models_bucket"] == "models"
    assert told["settings"]["admin_secret"] == "stack-admin"
    assert TOKEN not in answer.text


def test_the_last_fifty_requests_are_told_newest_first(admin: TestClient) -> None:
    for n in range(RECENT_REQUESTS):
        admin.get(f"/runs/number-{n}?token=in-the-query")
    last = admin.get("/models?limit=0")
    told = admin.get("/debug").json()["recent_requests"]
    assert len(told) == RECENT_REQUESTS
    assert told[0]["path"] == "/models"
    assert told[0]["status"] == 422
    assert told[0]["method"] == "GET"
    assert told[0]["request_id"] == last.headers["x-request-id"]
    assert told[0]["ms"] > 0
    assert told[-1]["path"] == "/runs/number-1"
    assert "in-the-query" not in str(told)


def test_a_path_of_any_length_is_remembered_in_short(admin: TestClient) -> None:
    admin.get("/" + "x" * 5_000)
    told = admin.get("/debug").json()["recent_requests"]
    assert len(told[0]["path"]) == MAX_REMEMBERED_PATH


def test_a_library_that_was_trimmed_of_its_version_is_no_fault(
    admin: TestClient, monkeypatch
) -> None:
    from functions.admin import debug

    monkeypatch.setattr(debug, "LIBRARIES", ("nothing-of-this-name",))
    assert admin.get("/debug").json()["versions"]["nothing-of-this-name"] is None
