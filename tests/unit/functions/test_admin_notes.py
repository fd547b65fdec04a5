"""Names and stars of versions, and the search for them."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from clickbait.settings import settings
from functions.admin import schemas
from functions.admin.app import app
from tests.unit.functions.conftest import BASELINE

OLD, NEW = "20990101-000000-aaaaaa", "20990102-000000-bbbbbb"


@pytest.fixture(autouse=True)
def versions(cloud: Any) -> None:
    for version in (OLD, NEW):
        cloud.version(version)


def change(admin: TestClient, version: str, **body: Any) -> dict[str, Any]:
    answer = admin.patch(f"/models/{version}", json=body)
    assert answer.status_code == 200, answer.text
    schemas.NamedVersion.model_validate_json(answer.content, strict=True)
    found: dict[str, Any] = answer.json()
    return found


def listed(admin: TestClient, **query: Any) -> list[str]:
    body = admin.get("/models", params=query).json()
    assert body["total"] >= body["count"]
    return [item["version"] for item in body["items"]]


def test_a_name_and_a_star_are_changed_each_by_itself_and_kept(admin: TestClient) -> None:
    assert change(admin, NEW, name="  Spring sale ") == {
        "version": NEW, "name": "Spring sale", "starred": False,
    }  # fmt: skip
    assert change(admin, NEW, starred=True)["name"] == "Spring sale"
    one = admin.get(f"/models/{NEW}").json()
    assert (one["name"], one["starred"]) == ("Spring sale", True)
    first, second, shipped = admin.get("/models").json()["items"]
    assert (first["name"], first["starred"]) == ("Spring sale", True)
    assert {(it["name"], it["starred"]) for it in (second, shipped)} == {(None, False)}
    assert change(admin, NEW, name=None) == {"version": NEW, "name": None, "starred": True}
    assert change(admin, NEW, name=None, starred=False)["starred"] is False
    assert change(admin, BASELINE, name="As shipped")["name"] == "As shipped"


def test_versions_are_found_by_their_names_and_stars(admin: TestClient) -> None:
    change(admin, OLD, name="Frühling", starred=True)
    change(admin, NEW, name="Autumn")
    assert listed(admin, q="FRÜH") == [OLD]
    assert listed(admin, q=" bbbb") == [NEW]
    assert listed(admin, q="2099") == [NEW, OLD]
    assert listed(admin, starred="true") == [OLD]
    assert listed(admin, q="autumn", starred="true") == []
    assert listed(admin, q="[") == []


def test_a_search_comes_in_pages_with_its_total(admin: TestClient) -> None:
    first = admin.get("/models", params={"q": "2099", "limit": 1}).json()
    assert (first["total"], first["count"]) == (2, 1)
    second = admin.get("/models", params={"q": "2099", "limit": 1, "cursor": first["next"]}).json()
    assert [it["version"] for it in second["items"]] == [OLD]
    assert (second["total"], second["next"]) == (2, None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": 7}, "name"),
        ({"starred": "yes"}, "starred"),
        ({"starred": None}, "starred"),
        ({"note": "x"}, "note"),
    ],
)
def test_a_wrong_change_is_422_and_changes_nothing(
    admin: TestClient, body: dict[str, Any], field: str
) -> None:
    answer = admin.patch(f"/models/{NEW}", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert admin.get(f"/models/{NEW}").json()["name"] is None


def test_the_longest_name_is_accepted(admin: TestClient) -> None:
    assert change(admin, NEW, name="x" * 100)["name"] == "x" * 100


def test_an_unknown_version_gets_no_name(admin: TestClient) -> None:
    answer = admin.patch("/models/20000101-000000-ffffff", json={"name": "x"})
    assert answer.status_code == 404
    assert admin.get("/models", params={"q": "20000101"}).json()["items"] == []


def test_a_search_that_is_too_long_is_422(admin: TestClient) -> None:
    assert admin.get("/models", params={"q": "x" * 100}).status_code == 200
    assert admin.get("/models", params={"q": "x" * 101}).status_code == 422
    assert admin.get("/runs", params={"q": "x" * 101}).status_code == 422


def test_without_a_table_versions_have_no_names_and_get_none(cloud: Any) -> None:
    cloud.set(TABLE="")
    assert not settings().table
    with TestClient(app, headers=cloud.admin, raise_server_exceptions=False) as admin:
        assert admin.get("/models").json()["items"][0]["name"] is None
        assert admin.get(f"/models/{NEW}").json()["starred"] is False
        answer = admin.patch(f"/models/{NEW}", json={"name": "x"})
    assert answer.status_code == 501
    assert "TABLE" in answer.json()["detail"]
