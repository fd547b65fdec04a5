"""/models/{version}/files and /dataset/export: what an owner takes away."""

import csv
import io
from typing import Any

import pytest
import requests
from fastapi.testclient import TestClient

from clickbait.store.drop_folder import DropFolder
from functions.admin import downloads, schemas
from tests.samples.drawn import encoded, picture

NAMES = ("exam/clickbait_fake/e.jpg", "train/clickbait/-a, b.jpg", "train/legitimate/c.jpg")


@pytest.fixture
def images(cloud: Any) -> None:
    for seed, key in enumerate(NAMES):
        body = encoded(picture((120, 80), seed=seed))
        cloud.s3.put_object(Bucket="data", Key=key, Body=body)
        DropFolder("data", "table").process(key)


def rows(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_a_member_downloads_what_a_server_needs(client: TestClient, cloud: Any) -> None:
    version = cloud.version("v1")
    cloud.s3.put_object(Bucket="models", Key="versions/v1/card.md", Body=b"# v1")
    cloud.s3.put_object(Bucket="models", Key="versions/v1/plots/mistakes.png", Body=b"x")
    cloud.set(ACCESS="public")
    answer = client.get(f"/models/{version}/files")
    files = schemas.ModelFiles.model_validate_json(answer.content)
    assert [file.name for file in files.items] == ["model.tflite", "metadata.json", "card.md"]
    for file in files.items:
        got = requests.get(file.url, timeout=5)
        assert len(got.content) == file.bytes
        assert f"v1-{file.name}" in got.headers["content-disposition"]


def test_the_baseline_and_unknown_versions_are_named(admin: TestClient, cloud: Any) -> None:
    answer = admin.get(f"/models/{cloud.baseline}/files")
    assert answer.status_code == 404
    assert "layers/baseline/baseline" in answer.json()["detail"]
    assert admin.get("/models/nothing/files").status_code == 404


def test_the_export_has_a_row_for_each_image(admin: TestClient, images: None) -> None:
    found = rows(admin.get("/dataset/export"))
    assert [row["uri"] for row in found] == [f"s3://data/{name}" for name in NAMES]
    assert [row["label"] for row in found] == ["clickbait_fake", "clickbait_fake", "clickbait_real"]
    assert [row["side"] for row in found] == ["exam", "none", "none"]
    assert "url" not in found[0]


def test_no_part_of_a_name_is_a_formula_where_semicolons_separate(
    admin: TestClient, cloud: Any
) -> None:
    key = "train/clickbait/a;=1+1.jpg"
    cloud.s3.put_object(Bucket="data", Key=key, Body=encoded(picture((120, 80))))
    DropFolder("data", "table").process(key)
    answer = admin.get("/dataset/export")
    (row,) = rows(answer)
    assert (row["key"], row["uri"]) == (key, "")
    cells = next(csv.reader(answer.text.splitlines()[1:], delimiter=";"))
    assert not [cell for cell in cells if cell.startswith("=")]


def test_links_open_the_images(admin: TestClient, images: None) -> None:
    found = rows(admin.get("/dataset/export?links=true"))
    for row in found:
        assert len(requests.get(row["url"], timeout=5).content) == int(row["bytes"])


def test_a_long_export_comes_in_parts_that_make_one_file(
    admin: TestClient, images: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = admin.get("/dataset/export").text
    monkeypatch.setattr(downloads, "EXPORTED", 1)
    address, parts = "/dataset/export", []
    while address:
        answer = admin.get(address)
        parts.append(answer.text)
        link = answer.headers.get("link", "")
        address = link[1 : link.index(">")] if link else ""
    assert len(parts) == len(NAMES)
    assert "".join(parts) == whole


def test_an_export_is_for_admins_and_its_cursors_are_its_own(
    client: TestClient, admin: TestClient, cloud: Any
) -> None:
    cloud.set(ACCESS="public")
    assert client.get("/dataset/export").status_code == 401
    assert admin.get("/dataset/export?cursor=abc").status_code == 422
