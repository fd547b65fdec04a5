"""Many images through the local stack: ten at once, a folder, upload forms; history and metrics."""

import csv
import io
import json
import uuid

import httpx
import pytest
from botocore.exceptions import ClientError
from PIL import Image

from tests.local_stack import LocalStack
from tests.waiting import DEADLINE, eventually

from .test_auth import client_of

pytestmark = pytest.mark.end_to_end

LABELS = {"clickbait_real", "clickbait_fake"}


def picture(number: int) -> bytes:
    """A small JPEG, different for each number."""
    buffer = io.BytesIO()
    Image.effect_noise((320, 180), 10 + number).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def drop(stack: LocalStack, batch: str, files: dict[str, bytes]) -> None:
    bucket = stack.description()["outputs"]["DataBucket"]
    s3 = stack.cloud("s3")
    for name, data in files.items():
        s3.put_object(Bucket=bucket, Key=f"inbox/{batch}/{name}", Body=data)


def post_form(form: dict, data: bytes) -> httpx.Response:
    return httpx.post(
        form["url"],
        data=form["fields"],
        files={"file": data},
        trust_env=False,
        timeout=DEADLINE,
    )


def finished(admin: httpx.Client, batch: str) -> dict:
    """The batch when it has finished."""

    def found() -> dict | None:
        body = admin.get(f"/batches/{batch}").json()
        return body if body.get("state") == "finished" else None

    body = eventually(found)
    assert body, admin.get(f"/batches/{batch}").text
    return body


@pytest.fixture
def name() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


def test_a_folder_that_is_dropped_is_a_batch_with_a_result_for_each_file(stack, admin, name):
    files = {f"{number}, =1.jpg": picture(number) for number in range(4)}
    files["deep/er/ü.jpg"] = picture(9)
    files["broken.jpg"] = b"not an image"
    drop(stack, name, files)
    # It exists from its first object on, before a worker sees it.
    assert admin.get(f"/batches/{name}").json()["source"] == "folder"
    found = finished(admin, name)
    assert (found["expected"], found["done"], found["failed"]) == (6, 5, 1)
    assert sum(found["counts"].values()) == 5
    rows = admin.get(found["results"]["json"]).json()["items"]
    assert sorted(row["file"] for row in rows) == sorted(files)
    assert {row["prediction"] for row in rows if row["error"] is None} <= LABELS
    assert [row["file"] for row in rows if row["error"]] == ["broken.jpg"]


def test_results_are_a_csv_in_the_answer_and_in_the_bucket(stack, admin, name):
    drop(stack, name, {"=a, b.jpg": picture(1), "c.jpg": b""})
    finished(admin, name)
    answer = admin.get(f"/batches/{name}/results?format=csv")
    assert answer.status_code == 200
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["file"] for row in rows] == ["'=a, b.jpg", "c.jpg"]
    s3, bucket = stack.cloud("s3"), stack.description()["outputs"]["DataBucket"]

    def written() -> str:
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"results/{name}/").get("Contents", [])
        if f"results/{name}/results.csv" not in {found["Key"] for found in listed}:
            return ""
        got = s3.get_object(Bucket=bucket, Key=f"results/{name}/results.csv")
        return got["Body"].read().decode()

    assert eventually(lambda: written() == answer.text), written()


def test_a_batch_that_was_begun_takes_forms_and_says_what_never_came(admin):
    begun = admin.post("/batches", json={"files": ["a.jpg", "b.jpg"]})
    assert begun.status_code == 201, begun.text
    first, _ = begun.json()["uploads"]["items"]
    assert post_form(first, picture(2)).status_code in (200, 201, 204)
    assert admin.get(begun.json()["status"]).json()["state"] == "open"
    assert admin.post(begun.json()["start"]).status_code == 200
    found = finished(admin, begun.json()["id"])
    assert (found["expected"], found["done"], found["failed"]) == (2, 1, 1)


def test_ten_images_in_one_request_each_have_their_own_answer(api):
    sent = [("files", (f"{number}.jpg", picture(number), "image/jpeg")) for number in range(9)]
    sent.append(("files", ("bad.jpg", b"not an image", "image/jpeg")))
    answer = api.post("/predict-batch", files=sent)
    assert answer.status_code == 200, answer.text
    results, totals = answer.json()["results"], answer.json()["totals"]
    assert [one["file"] for one in results] == [*(f"{n}.jpg" for n in range(9)), "bad.jpg"]
    assert {one["prediction"] for one in results[:9]} <= LABELS
    assert results[9]["status"] == 415
    assert (totals["images"], totals["failed"]) == (10, 1)


def test_an_image_that_was_uploaded_past_the_api_is_predicted_by_its_key(admin, api):
    form_request = {"purpose": "image", "content_type": "image/jpeg"}
    answer = admin.post("/uploads", json=form_request)
    assert answer.status_code == 200, answer.text
    (form,) = answer.json()["items"]
    early = api.post("/predict", json={"key": form["key"]})
    assert early.status_code == 404
    assert post_form(form, picture(3)).status_code in (200, 201, 204)
    result = api.post("/predict", json={"key": form["key"]})
    assert result.status_code == 200, result.text
    assert result.json()["prediction"] in LABELS


def test_results_and_uploads_are_not_for_everybody(api, name):
    assert api.get(f"/batches/{name}").status_code == 401
    assert api.get("/predictions").status_code == 401
    assert api.get("/metrics").status_code == 401
    assert api.post("/uploads", json={}).status_code == 401


def test_the_history_has_a_line_for_each_prediction_wherever_it_was_made(stack, admin, api):
    def sources(**query: str) -> list[str]:
        return [one["source"] for one in admin.get("/predictions", params=query).json()["items"]]

    def logged() -> bool:
        batch = f"test-{uuid.uuid4().hex[:8]}"
        api.post("/predict", files={"file": ("a.jpg", picture(5), "image/jpeg")})
        api.post("/predict-batch", files=[("files", ("a.jpg", picture(6), "image/jpeg"))])
        drop(stack, batch, {"a.jpg": picture(7)})
        finished(admin, batch)
        everywhere = {"predict", "batch", "worker"}
        return set(sources()) == everywhere and sources(batch=batch) == ["worker"]

    # Repeated, because a function on a busy machine may give up the write of a row.
    assert eventually(logged), sources()


def test_metrics_count_what_was_asked(admin, api):
    before = admin.get("/metrics", params={"window": "1h"})
    assert before.status_code == 200, before.text
    api.post("/predict", files={"file": ("a.jpg", picture(8), "image/jpeg")})

    def requests() -> int:
        return admin.get("/metrics", params={"window": "1h"}).json()["totals"]["requests"]

    assert eventually(lambda: requests() > before.json()["totals"]["requests"])


def test_who_predicts_for_anybody_cannot_read_what_others_dropped(stack, name):
    drop(stack, name, {"a.jpg": picture(4)})
    bucket = stack.description()["outputs"]["DataBucket"]
    with pytest.raises(ClientError) as refused:
        client_of(stack, "PredictRole", "s3").get_object(Bucket=bucket, Key=f"inbox/{name}/a.jpg")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_drift_is_told_and_the_daily_look_measures_it(stack, admin):
    function = stack.description()["outputs"]["RetrainFunction"]
    daily = json.dumps({"source": "schedule", "action": "daily"})
    done = stack.cloud("lambda").invoke(FunctionName=f"{function}:live", Payload=daily)
    assert "FunctionError" not in done, done["Payload"].read()
    drift = admin.get("/metrics").json()["drift"]
    # The reason is too few predictions. Without a reference it would be the reference.
    reasons = {feature["reason"] for feature in drift["features"].values()}
    assert drift["model_version"] and all(reason.startswith("Needs ") for reason in reasons)


def test_the_page_may_send_its_forms_to_the_bucket(stack):
    bucket = stack.description()["outputs"]["DataBucket"]
    (rule,) = stack.cloud("s3").get_bucket_cors(Bucket=bucket)["CORSRules"]
    assert set(rule["AllowedMethods"]) == {"GET", "POST"}
    page = stack.description()["site_url"]
    assert rule["AllowedOrigins"] == [page, page.replace("127.0.0.1", "localhost")]
