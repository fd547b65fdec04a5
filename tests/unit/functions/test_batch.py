"""The batch function: ten images in one request, forms for uploads, batches over HTTP."""

import base64
import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from fastapi.testclient import TestClient

from clickbait import LABELS
from clickbait.keys import INBOX_DAYS, id_of
from clickbait.store import batches, history, results
from clickbait.store.batches import NEVER_ARRIVED, Batches
from clickbait.store.live import LiveModel
from clickbait.store.results import Row
from clickbait.store.rows import Rows, now
from clickbait.web import bodies
from functions.batch import app as batch_app
from functions.batch import batches as routes
from functions.batch import schemas
from functions.predict import app as predict
from tests.samples.drawn import encoded, picture
from tests.samples.shipped import SIDE

ROOT = Path(__file__).resolve().parents[3]
JPEG, PNG = encoded(picture()), encoded(picture(seed=3), "PNG")


@pytest.fixture
def here(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The cloud of these tests, with nothing from another one."""
    batches._names.cache_clear()
    monkeypatch.setattr(history, "_paused_until", 0.0)
    yield cloud


@pytest.fixture
def client(here: Any) -> Iterator[TestClient]:
    """Calls the batch function, without a token."""
    with TestClient(
        batch_app.app, raise_server_exceptions=False, follow_redirects=False
    ) as test_client:
        yield test_client


@pytest.fixture
def admin(here: Any) -> Iterator[TestClient]:
    """Calls the batch function with the admin's token."""
    with TestClient(
        batch_app.app, headers=here.admin, raise_server_exceptions=False, follow_redirects=False
    ) as test_client:
        yield test_client


def problem_of(response: Any, status: int, slug: str) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["type"] == f"/docs/problems/{slug}"
    return problem


def post_images(client: TestClient, *files: tuple[str, bytes], field: str = "files") -> Any:
    return client.post(
        "/predict-batch", files=[(field, (name, data, "image/jpeg")) for name, data in files]
    )


# --- POST /predict-batch -------------------------------------------------------------------------


def test_each_image_has_its_result_in_order_with_its_name(client: TestClient) -> None:
    names = ["b.jpg", "a.jpg", "../é x.jpg"]
    data = [JPEG, PNG, encoded(picture(seed=5))]
    response = post_images(client, *zip(names, data, strict=True))
    assert response.status_code == 200
    schemas.PredictBatchAnswer.model_validate_json(response.content, strict=True)
    answer = response.json()
    assert [one["file"] for one in answer["results"]] == names
    with TestClient(predict.app) as single:
        for one, image in zip(answer["results"], data, strict=True):
            alone = single.post("/predict", files={"file": ("x", image)}).json()
            assert set(one) == set(alone) - {"request_id"} | {"file"}
            for name in ("prediction", "probability", "uncertain", "model_version", "image"):
                assert one[name] == alone[name]
    named = [one["prediction"] for one in answer["results"]]
    assert answer["totals"]["counts"] == {label: named.count(label) for label in LABELS}
    assert (answer["totals"]["images"], answer["totals"]["failed"]) == (3, 0)
    assert answer["totals"]["milliseconds"] > 0
    assert response.headers["x-model-version"] == answer["model_version"]


def test_one_bad_image_does_not_fail_the_others(client: TestClient) -> None:
    response = post_images(client, ("a.jpg", JPEG), ("b.jpg", JPEG[:3_000]), ("c.gif", b"GIF89a"))
    answer = response.json()
    assert response.status_code == 200
    schemas.PredictBatchAnswer.model_validate_json(response.content, strict=True)
    good, broken, gif = answer["results"]
    assert "prediction" in good
    assert (broken["file"], broken["status"]) == ("b.jpg", 422)
    assert broken["type"] == "/docs/problems/broken-image"
    assert (gif["status"], gif["title"]) == (415, "Unsupported format")
    assert gif["supported"]
    assert answer["totals"]["failed"] == 2
    assert sum(answer["totals"]["counts"].values()) == 1


def test_ten_bad_images_are_200_with_ten_problems(client: TestClient) -> None:
    answer = post_images(client, *((f"{i}", b"") for i in range(10)))
    assert answer.status_code == 200
    found = answer.json()["results"]
    assert [one["type"] for one in found] == ["/docs/problems/empty-image"] * 10
    assert answer.json()["totals"]["failed"] == 10


def test_eleven_images_are_422_naming_the_limit(client: TestClient) -> None:
    assert post_images(client, *((f"{i}", b"x") for i in range(10))).status_code == 200
    problem = problem_of(
        post_images(client, *((f"{i}", b"x") for i in range(11))), 422, "bad-request"
    )
    assert (problem["limit"], problem["value"]) == (10, 11)
    assert "/batches" in problem["detail"]


@pytest.mark.parametrize(
    "request_parts",
    [
        {"files": {"x": b""}},
        {"files": [("files", ("a", JPEG)), ("file", ("b", JPEG))]},
        {"data": {"files": "text"}, "files": {"files": ("a", JPEG)}},
        {"content": b"--x", "headers": {"content-type": "multipart/form-data"}},
        {"content": b"", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"content": b"--x--\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"files": [("files", (f"{i}", b"x")) for i in range(bodies.MAX_PARTS + 1)]},
    ],
)
def test_a_form_without_images_or_with_other_parts_is_422(
    client: TestClient, request_parts: dict[str, Any]
) -> None:
    problem = problem_of(client.post("/predict-batch", **request_parts), 422, "bad-request")
    assert "files" in problem["detail"]


@pytest.mark.parametrize(
    "request_parts",
    [
        {"json": {"files": []}},
        {"content": JPEG, "headers": {"content-type": "image/jpeg"}},
        {"data": {"files": "text"}},
        {},
    ],
)
def test_a_body_that_is_not_a_form_is_415(
    client: TestClient, request_parts: dict[str, Any]
) -> None:
    problem = problem_of(client.post("/predict-batch", **request_parts), 415, "unsupported-format")
    assert "curl" in problem["detail"]


def test_images_of_4_mib_together_pass_and_one_byte_more_is_413_naming_batches(
    client: TestClient,
) -> None:
    half = JPEG + bytes(bodies.MAX_REQUEST_BYTES // 2 - len(JPEG))
    answer = post_images(client, ("a", half), ("b", half))
    assert answer.status_code == 200
    assert answer.json()["totals"]["failed"] == 0
    for more in (b"\0", bytes(200_000), bytes(3_000_000)):
        problem = problem_of(
            post_images(client, ("a", half), ("b", half + more)), 413, "payload-too-large"
        )
        assert problem["limit"] == 4 * 1024 * 1024
        assert problem["value"] > problem["limit"]
        assert "/batches" in problem["detail"]


def test_max_upload_size_limits_each_image(client: TestClient, here: Any) -> None:
    here.set(MAX_UPLOAD_SIZE=str(len(JPEG)))
    answer = post_images(client, ("a", JPEG), ("b", JPEG + b"\0")).json()
    assert [one.get("status") for one in answer["results"]] == [None, 413]


def test_anyone_may_have_ten_images_predicted(client: TestClient) -> None:
    assert post_images(client, ("a.jpg", JPEG)).status_code == 200


def test_no_temporary_file_is_written(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("rolled over to a file")

    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", refuse)
    assert post_images(client, ("a", JPEG + bytes(3_000_000))).status_code == 200


def test_without_a_model_the_answer_is_503(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(batch_app, "live", LiveModel(tmp_path))
    problem_of(post_images(client, ("a", JPEG)), 503, "unavailable")


def test_each_prediction_is_logged_under_the_request(client: TestClient) -> None:
    answer = post_images(client, ("a", JPEG), ("b", b"GIF89a"), ("c", PNG)).json()
    logged, _ = history.page("table", 10)
    assert [one["source"] for one in logged] == ["batch"] * 2
    assert {one["request_id"] for one in logged} == {answer["request_id"]}


# --- POST /uploads, POST /predict ----------------------------------------------------------------


def policy(form: dict[str, Any]) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(base64.b64decode(form["fields"]["policy"]))
    return decoded


def test_an_image_uploaded_with_a_form_is_predicted_by_its_key(
    admin: TestClient, here: Any
) -> None:
    answer = admin.post("/uploads", json={"purpose": "image", "content_type": "image/jpeg"})
    assert answer.status_code == 200
    schemas.UploadForms.model_validate_json(answer.content, strict=True)
    body = answer.json()
    assert (body["count"], body["next"], body["expires_in"]) == (1, None, 300)
    assert body["max_bytes"] == 10_000_000
    (form,) = body["items"]
    assert {"key": form["key"]} in policy(form)["conditions"]
    with TestClient(predict.app) as anybody:
        missing = anybody.post("/predict", json={"key": form["key"]})
        problem_of(missing, 404, "not-found")
        here.s3.put_object(Bucket="data", Key=form["key"], Body=JPEG)
        answered = anybody.post("/predict?explain=true", json={"key": form["key"]})
        assert answered.status_code == 200
        assert answered.json()["image"]["bytes"] == len(JPEG)
        assert len(answered.json()["heatmap"]) == SIDE


def test_an_upload_is_checked_again_when_it_is_predicted(here: Any) -> None:
    key = f"uploads/{'0' * 32}"
    with TestClient(predict.app) as anybody:
        for body, status, slug in (
            (b"GIF89a", 415, "unsupported-format"),
            (JPEG[:3_000], 422, "broken-image"),
            (JPEG + bytes(10_000_001 - len(JPEG)), 413, "payload-too-large"),
        ):
            here.s3.put_object(Bucket="data", Key=key, Body=body)
            problem_of(anybody.post("/predict", json={"key": key}), status, slug)
        # More than the API accepts, which is why uploads exist.
        here.s3.put_object(Bucket="data", Key=key, Body=JPEG + bytes(10_000_000 - len(JPEG)))
        assert anybody.post("/predict", json={"key": key}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"key": ""},
        {"key": "train/clickbait_fake/a.jpg"},
        {"key": f"uploads/{'0' * 32}\n"},
        {"key": f"uploads/{'0' * 32}", "explain": True},
        {"url": "http://127.0.0.1"},
        {"key": 1},
        [],
    ],
)
def test_predict_reads_no_other_object(here: Any, body: Any) -> None:
    here.s3.put_object(Bucket="data", Key="train/clickbait_fake/a.jpg", Body=JPEG)
    with TestClient(predict.app) as anybody:
        problem_of(anybody.post("/predict", json=body), 422, "bad-request")


def test_each_training_image_gets_a_form_for_its_label(admin: TestClient) -> None:
    asked = {"purpose": "training", "label": "clickbait", "content_type": "image/png", "count": 100}
    forms_given = admin.post("/uploads", json=asked).json()["items"]
    assert len({form["key"] for form in forms_given}) == 100
    for form in forms_given:
        assert form["key"].startswith("train/clickbait_fake/")
        assert form["key"].endswith(".png")


TRAINING = {"purpose": "training", "content_type": "image/png", "label": "clickbait"}


def test_an_exam_image_gets_a_form_for_the_exam(admin: TestClient) -> None:
    asked = {"purpose": "training", "label": "legitimate", "content_type": "image/webp"}
    (form,) = admin.post("/uploads", json=asked | {"folder": "exam"}).json()["items"]
    assert re.fullmatch(r"exam/clickbait_real/[0-9a-f]{32}\.webp", form["key"])


def test_a_named_file_keeps_its_name_and_replaces_no_other(admin: TestClient) -> None:
    asked = {"purpose": "training", "label": "clickbait", "content_type": "image/png"}
    names = ["a b.png", "a b.png", "../../exam/.x.png", "Ünï/cödé.PNG"]
    forms = admin.post("/uploads", json=asked | {"names": names}).json()["items"]
    found = [form["key"] for form in forms]
    assert len(set(found)) == 4
    for key, stem in zip(found, ["a b", "a b", "x", "cödé"], strict=True):
        assert re.fullmatch(rf"train/clickbait_fake/{stem}-[0-9a-f]{{8}}\.(png|PNG)", key), key


def test_only_admins_add_training_images_even_if_access_is_public(
    client: TestClient, here: Any
) -> None:
    here.set(ACCESS="public")
    image = {"purpose": "image", "content_type": "image/jpeg"}
    training = image | {"purpose": "training", "label": "clickbait"}
    assert client.post("/uploads", json=image).status_code == 200
    problem_of(client.post("/uploads", json=training), 401, "unauthorized")
    wrong = {"authorization": "Bearer wrong"}
    problem_of(client.post("/uploads", json=training, headers=wrong), 403, "forbidden")
    assert client.post("/uploads", json=training, headers=here.admin).status_code == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"purpose": "image"}, "content_type"),
        ({"content_type": "image/jpeg"}, "purpose"),
        ({"purpose": "image", "content_type": "image/gif"}, "content_type"),
        ({"purpose": "other", "content_type": "image/png"}, "purpose"),
        ({"purpose": "image", "content_type": "image/png", "count": 0}, "count"),
        ({"purpose": "image", "content_type": "image/png", "count": 101}, "count"),
        ({"purpose": "image", "content_type": "image/png", "key": "x"}, "key"),
        ({"purpose": "image", "content_type": "image/png", "label": "clickbait"}, "label"),
        ({"purpose": "image", "content_type": "image/png", "folder": "exam"}, "folder"),
        (TRAINING | {"folder": "inbox"}, "folder"),
        (TRAINING | {"names": []}, "names"),
        (TRAINING | {"names": [""]}, "names"),
        (TRAINING | {"names": ["a"] * 101}, "names"),
        ({"purpose": "training", "content_type": "image/png"}, "label"),
        ({"purpose": "training", "content_type": "image/png", "label": "cat"}, "label"),
    ],
)
def test_a_wrong_upload_is_422_naming_the_field(
    admin: TestClient, body: dict[str, Any], says: str
) -> None:
    assert says in problem_of(admin.post("/uploads", json=body), 422, "bad-request")["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/uploads"),
        ("POST", "/batches"),
        ("POST", "/batches/b/start"),
        ("GET", "/batches/b"),
        ("GET", "/batches/b/uploads"),
        ("GET", "/batches/b/results"),
    ],
)
def test_access_is_checked_before_anything_else(
    client: TestClient, here: Any, method: str, path: str
) -> None:
    problem_of(client.request(method, path), 401, "unauthorized")
    wrong = {"authorization": "Bearer wrong"}
    problem_of(client.request(method, path, headers=wrong), 403, "forbidden")
    here.set(ACCESS="public")
    assert client.request(method, path).status_code in {404, 422}


# --- batches -------------------------------------------------------------------------------------


def begin(admin: TestClient, *files: str) -> dict[str, Any]:
    answer = admin.post("/batches", json={"files": list(files)})
    assert answer.status_code == 201
    schemas.BatchBegun.model_validate_json(answer.content, strict=True)
    body: dict[str, Any] = answer.json()
    assert answer.headers["location"] == body["status"] == f"/batches/{body['id']}"
    return body


def fill(
    batch: str,
    *files: str,
    error: str | None = None,
    at: str | None = None,
    uncertain: bool = False,
) -> None:
    for file in files:
        fields: dict[str, Any] = {"error": error} if error else {
            "prediction": LABELS[1], "probability": 0.9, "confidence": 0.9,
            "uncertain": uncertain, "model_version": "20260101-000000-abcdef", "threshold": 0.5,
        }  # fmt: skip
        Rows("table", batch).put(Row(file, file, at or now(), etag="e", modified="2026", **fields))


def test_a_batch_goes_from_its_names_to_its_results(admin: TestClient, here: Any) -> None:
    begun = begin(admin, "a.jpg", "b.jpg")
    batch = begun["id"]
    assert begun["expected"] == begun["uploads"]["count"] == 2
    assert begun["drop_folder"] == f"s3://data/inbox/{batch}/"
    first = begun["uploads"]["items"][0]
    assert (first["file"], first["key"]) == ("a.jpg", f"inbox/{batch}/00000.{batch[-8:]}")
    assert {"key": first["key"]} in policy(first)["conditions"]

    status = admin.get(begun["status"])
    schemas.Batch.model_validate_json(status.content, strict=True)
    assert status.json()["state"] == "open"
    fill(batch, first["key"].split("/")[2])
    started = admin.post(begun["start"])
    assert started.status_code == 200
    schemas.Batch.model_validate_json(started.content, strict=True)
    body = started.json()
    assert (body["state"], body["done"], body["failed"]) == ("finished", 1, 1)
    assert body["counts"] == {LABELS[0]: 0, LABELS[1]: 1}

    answer = admin.get(body["results"]["json"])
    schemas.BatchResults.model_validate_json(answer.content, strict=True)
    good, missing = answer.json()["items"]
    assert good["is_clickbait"] is True
    assert (good["id"], missing["id"]) == (id_of(first["key"]), None)
    assert good["url"] is missing["url"] is None
    here.s3.put_object(Bucket="data", Key=first["key"], Body=JPEG)
    linked = admin.get(body["results"]["json"] + "&links=true").json()["items"]
    assert requests.get(linked[0]["url"], timeout=5).content == JPEG
    assert linked[1]["url"] is None
    assert (missing["file"], missing["error"]) == ("b.jpg", NEVER_ARRIVED)
    assert here.keys("data", f"results/{batch}/") == [
        f"results/{batch}/{name}" for name in ("files.json", "part-00000.jsonl", "results.csv")
    ]
    problem_of(admin.get(begun["more_uploads"]), 409, "conflict")


def test_forms_come_in_pages_of_100(admin: TestClient) -> None:
    begun = begin(admin, *(f"{i}.jpg" for i in range(205)))
    page = begun["uploads"]
    found = [form["file"] for form in page["items"]]
    while page["next"]:
        answer = admin.get(begun["more_uploads"], params={"cursor": page["next"]})
        schemas.BatchForms.model_validate_json(answer.content, strict=True)
        page = answer.json()
        found += [form["file"] for form in page["items"]]
    assert found == [f"{i}.jpg" for i in range(205)]
    assert admin.get(begun["more_uploads"]).json()["items"][0]["file"] == "0.jpg"


def test_10000_files_are_a_batch_and_10001_are_422(admin: TestClient) -> None:
    names = [f"folder/picture {i:05d}.jpg" for i in range(10_000)]
    assert begin(admin, *names)["expected"] == 10_000
    problem = problem_of(
        admin.post("/batches", json={"files": [*names, "one more"]}), 422, "bad-request"
    )
    assert "10000" in problem["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"files": []},
        {"files": [""]},
        {"files": ["x" * 1_025]},
        {"files": [1]},
        {"files": "a.jpg"},
        {"files": ["a.jpg"], "id": "b"},
        {"files": [""] * 10_000},
    ],
)
def test_a_wrong_batch_is_422_in_a_short_response(admin: TestClient, body: Any) -> None:
    answer = admin.post("/batches", json=body)
    problem_of(answer, 422, "bad-request")
    assert len(answer.content) < 5_000


def test_half_a_character_is_422_not_500(admin: TestClient) -> None:
    answer = admin.post("/batches", content=b'{"files": ["\\ud800"]}')
    problem_of(answer, 422, "bad-request")


def test_a_list_of_names_past_4_mib_is_413(admin: TestClient) -> None:
    body = json.dumps({"files": ["x" * 1_000] * 4_300})
    problem = problem_of(admin.post("/batches", content=body), 413, "payload-too-large")
    assert problem["limit"] == 4 * 1024 * 1024


def test_a_dropped_folder_is_a_batch_from_its_first_object(admin: TestClient, here: Any) -> None:
    problem_of(admin.get("/batches/holiday"), 404, "not-found")
    here.s3.put_object(Bucket="data", Key="inbox/holiday/a.jpg", Body=JPEG)
    answer = admin.get("/batches/holiday")
    schemas.Batch.model_validate_json(answer.content, strict=True)
    body = answer.json()
    assert (body["state"], body["expected"], body["done"]) == ("running", 1, 0)
    empty = admin.get("/batches/holiday/results").json()
    assert empty == {"items": [], "count": 0, "next": None}


@pytest.mark.parametrize(
    "path", ["", "/results", "/results?format=csv", "/results?format=link", "/uploads"]
)
@pytest.mark.parametrize("batch", ["unknown", "a b", "..x", "é", "%2E%2E"])
def test_an_unknown_batch_is_404(admin: TestClient, batch: str, path: str) -> None:
    problem_of(admin.get(f"/batches/{batch}{path}"), 404, "not-found")
    problem_of(admin.post(f"/batches/{batch}/start"), 404, "not-found")


def test_a_row_has_no_image_to_review_once_s3_has_deleted_it(admin: TestClient) -> None:
    for name, days in (("kept", INBOX_DAYS - 1), ("gone", INBOX_DAYS)):
        fill("b", name, at=(datetime.now(UTC) - timedelta(days=days, hours=1)).isoformat())
    items = admin.get("/batches/b/results").json()["items"]
    assert {row["file"]: row["id"] for row in items} == {
        "kept": id_of("inbox/b/kept"),
        "gone": None,
    }


def test_results_come_in_pages_that_end(admin: TestClient) -> None:
    names = [f"{i:02d}" for i in range(6)]
    fill("b", *names)
    found: list[str] = []
    params: dict[str, Any] = {"limit": 3}
    for expected in (3, 3):
        answer = admin.get("/batches/b/results", params=params).json()
        assert answer["count"] == len(answer["items"]) == expected
        found += [row["file"] for row in answer["items"]]
        params = {"limit": 3, "cursor": answer["next"]}
    assert answer["next"] is None
    assert found == names


@pytest.mark.parametrize("limit", [1, 1_000])
def test_a_page_may_have_1_to_1000_rows(admin: TestClient, limit: int) -> None:
    fill("b", "x", "y")
    answer = admin.get("/batches/b/results", params={"limit": limit}).json()
    assert answer["count"] == min(limit, 2)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=1001", "limit=x", "format=xml", "cursor=", "cursor=x",
        f"cursor={routes.encode_cursor('results other', 'x')}",
        f"cursor={routes.encode_cursor('results b', 'x' * 1_025)}",
    ],
)  # fmt: skip
def test_a_wrong_page_is_422(admin: TestClient, query: str) -> None:
    fill("b", "x")
    problem_of(admin.get(f"/batches/b/results?{query}"), 422, "bad-request")


@pytest.mark.parametrize(
    "cursor", [routes.encode_cursor("uploads x", "0"), "x", None, "-1", "1", "99999", "1e3", "²"]
)
def test_a_wrong_page_of_forms_is_422(admin: TestClient, cursor: str | None) -> None:
    begun = begin(admin, "a.jpg")
    if cursor is not None and len(cursor) < 6 and cursor != "x":
        cursor = routes.encode_cursor(f"uploads {begun['id']}", cursor)
    answer = admin.get(begun["more_uploads"], params={"cursor": cursor or "?"})
    problem_of(answer, 422, "bad-request")


def test_results_as_csv_are_a_file_to_save(admin: TestClient) -> None:
    fill("b", "=a.jpg")
    fill("b", 'x,\n"é".jpg', error="The JPEG does not decode.")
    answer = admin.get("/batches/b/results?format=csv")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="b.csv"'
    read = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["file"] for row in read] == ["'=a.jpg", 'x,\n"é".jpg']


def test_more_csv_than_a_response_holds_comes_from_the_bucket(
    admin: TestClient, here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill("b", "a.jpg", "c.jpg")
    text = admin.get("/batches/b/results?format=csv").content
    monkeypatch.setattr(routes, "MAX_CSV", len(text) - 1)
    answer = admin.get("/batches/b/results?format=csv")
    assert answer.status_code == 303
    assert "/results/b/results.csv?" in answer.headers["location"]
    assert "X-Amz-Expires=300" in answer.headers["location"]
    body = here.s3.get_object(Bucket="data", Key="results/b/results.csv")["Body"].read()
    assert body == text
    fill("b", "d.jpg")  # What was written is not what is there now.
    admin.get("/batches/b/results?format=csv")
    body = here.s3.get_object(Bucket="data", Key="results/b/results.csv")["Body"].read()
    assert body.count(b"\r\n") == 4


def test_a_link_leads_to_the_current_csv(admin: TestClient, here: Any) -> None:
    fill("b", "=a.jpg", "é.jpg")
    for more in ("c.jpg", "d.jpg"):
        answer = admin.get("/batches/b/results?format=link")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        schemas.ResultsLink.model_validate_json(answer.content, strict=True)
        body = answer.json()
        assert body["expires_in"] == 300
        assert "/results/b/results.csv?" in body["url"]
        saved = requests.get(body["url"], timeout=5)
        assert saved.content == admin.get("/batches/b/results?format=csv").content
        assert (
            'filename="b.csv"'
            in parse_qs(urlsplit(body["url"]).query)["response-content-disposition"][0]
        )
        fill("b", more)  # What was written is not what is there now.


def test_a_selection_of_rows_comes_as_csv_or_as_a_link_with_a_mark_for_excel(
    admin: TestClient, here: Any
) -> None:
    fill("b", "a.jpg")
    fill("b", "c.jpg", error="The JPEG does not decode.")
    for verdict, file in (("clickbait", "a.jpg"), ("failed", "c.jpg"), ("unsure", None)):
        query = f"verdict={verdict}&bom=true"
        whole = admin.get(f"/batches/b/results?format=csv&{query}").content
        assert whole.startswith("\ufefffile,".encode())
        rows = list(csv.DictReader(io.StringIO(whole.decode("utf-8-sig"), newline="")))
        assert [row["file"] for row in rows] == ([file] if file else [])
        url = admin.get(f"/batches/b/results?format=link&{query}").json()["url"]
        assert requests.get(url, timeout=5).content == whole
    problem_of(admin.get("/batches/b/results?verdict=unsure"), 422, "bad-request")


def test_batches_are_listed_newest_first_with_their_names_and_counts(admin: TestClient) -> None:
    first = begin(admin, "a.jpg")["id"]
    named = admin.post("/batches", json={"files": ["b.jpg", "c.jpg"], "name": "Monday"}).json()[
        "id"
    ]
    admin.post(f"/batches/{first}/start")
    answer = admin.get("/batches?limit=1")
    schemas.BatchList.model_validate_json(answer.content, strict=True)
    newest, following = answer.json()["items"], answer.json()["next"]
    assert [(one["id"], one["name"], one["state"]) for one in newest] == [(named, "Monday", "open")]
    (oldest,) = admin.get("/batches", params={"cursor": following}).json()["items"]
    assert (oldest["id"], oldest["state"], oldest["failed"]) == (first, "finished", 1)
    assert oldest["counts"] == {LABELS[0]: 0, LABELS[1]: 0}
    assert admin.get("/batches?cursor=abc").status_code == 422


def test_a_batch_can_be_named_again(admin: TestClient) -> None:
    batch = begin(admin, "a.jpg")["id"]
    for name in ("Tuesday", None):
        answer = admin.patch(f"/batches/{batch}", json={"name": name})
        schemas.Batch.model_validate_json(answer.content, strict=True)
        assert answer.json()["name"] == name
        assert admin.get(f"/batches/{batch}").json()["name"] == name
    assert admin.patch("/batches/none", json={"name": "x"}).status_code == 404
    assert admin.patch(f"/batches/{batch}", json={"name": " "}).status_code == 422


def test_a_finished_folder_that_gets_another_image_runs_again(admin: TestClient, here: Any) -> None:
    here.s3.put_object(Bucket="data", Key="inbox/holiday/a.jpg", Body=JPEG)
    fill("holiday", "a.jpg", uncertain=True)
    store = Batches("data", "table")
    store.record_rows("holiday", 1, again=0)
    (one,) = admin.get("/batches").json()["items"]
    assert (one["id"], one["state"], one["expected"]) == ("holiday", "finished", None)
    assert one["counts"] == {LABELS[0]: 0, LABELS[1]: 1}
    assert one["uncertain"] == 1
    store.record_rows("holiday", 1, again=0)
    (one,) = admin.get("/batches").json()["items"]
    assert (one["state"], one["rows"]) == ("running", 2)


def test_a_batch_without_rows_has_a_link_to_a_csv_with_only_the_header(
    admin: TestClient, here: Any
) -> None:
    here.s3.put_object(Bucket="data", Key="inbox/holiday/a.jpg", Body=JPEG)
    url = admin.get("/batches/holiday/results?format=link").json()["url"]
    assert requests.get(url, timeout=5).text == ",".join(results.COLUMNS) + "\r\n"


@pytest.mark.parametrize("lacking", ["DATA_BUCKET", "TABLE"])
def test_without_a_cloud_a_batch_is_501_and_ten_images_are_classified(
    admin: TestClient, here: Any, lacking: str
) -> None:
    here.set(**{lacking: ""})
    for path in ("/batches/b", "/batches/b/results", "/batches/b/uploads"):
        assert lacking in problem_of(admin.get(path), 501, "not-configured")["detail"]
    problem_of(admin.post("/batches", json={"files": ["a"]}), 501, "not-configured")
    assert post_images(admin, ("a.jpg", JPEG)).status_code == 200


def test_the_lambda_handler_answers_csv_as_text(here: Any) -> None:
    fill("b", "é.jpg")
    event = json.loads((ROOT / "events/http-predict.json").read_text())
    event["rawPath"] = "/batches/b/results"
    event["rawQueryString"] = "format=csv"
    event["requestContext"]["http"].update(method="GET", path=event["rawPath"])
    event["headers"] = here.admin
    event.update(body="", isBase64Encoded=False)
    answer = batch_app.handler(event, None)
    assert answer["statusCode"] == 200
    assert not answer["isBase64Encoded"]
    assert "é.jpg" in answer["body"]


def test_starting_needs_neither_boto3_nor_the_schemas() -> None:
    script = (
        "import sys, functions.batch.app; "
        "print({'boto3', 'functions.batch.schemas', 'functions.predict.app'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_every_response_has_a_schema() -> None:
    document = batch_app.app.openapi()
    named = {
        part.split('"')[0].rpartition("/")[2]
        for part in json.dumps(document["paths"]).split('"$ref": "')[1:]
    }
    assert named - {"ProblemDocument"} <= set(vars(schemas))
    assert set(document["paths"]) == {
        "/predict-batch", "/uploads", "/batches", "/batches/{batch}", "/batches/{batch}/start",
        "/batches/{batch}/uploads", "/batches/{batch}/results",
    }  # fmt: skip


def test_a_batch_keeps_its_threshold_and_a_request_may_name_one(
    admin: TestClient, client: TestClient
) -> None:
    answer = client.post("/predict-batch?threshold=0.95", files={"files": ("a.jpg", JPEG)}).json()
    assert answer["threshold"] == answer["results"][0]["threshold"] == 0.95
    begun = admin.post("/batches", json={"files": ["a.jpg"], "threshold": 0.2}).json()
    assert admin.get(begun["status"]).json()["threshold"] == 0.2
    assert admin.get(begin(admin, "b.jpg")["status"]).json()["threshold"] is None
    for wrong in (0.01, 1, "0.5"):
        body = {"files": ["a.jpg"], "threshold": wrong}
        problem = problem_of(admin.post("/batches", json=body), 422, "bad-request")
        assert problem["errors"][0]["field"] == "threshold"
