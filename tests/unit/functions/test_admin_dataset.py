"""GET /dataset: figures of the images in the table, and the rejected and the waiting images."""

import json
import time
from typing import Any

import pytest
import requests
from fastapi.testclient import TestClient

from clickbait import LABELS, aws
from clickbait.inference.appearance import APPEARANCE
from clickbait.store.drop_folder import DropFolder
from clickbait.store.trained import mark_trained
from functions.admin import schemas
from tests.samples.drawn import encoded, picture


def drop(cloud: Any, key: str, data: bytes) -> str:
    cloud.s3.put_object(Bucket="data", Key=key, Body=data)
    DropFolder("data", "table").process(key)
    return str(cloud.s3.head_object(Bucket="data", Key=key)["ETag"]).strip('"')


def test_dropped_images_are_described(admin: TestClient, cloud: Any) -> None:
    first = encoded(picture())
    etag = drop(cloud, "train/clickbait/a.jpg", first)
    drop(cloud, "train/clickbait_fake/again.jpg", first)
    drop(cloud, "train/legitimate/b.png", encoded(picture((100, 50), seed=3), "PNG"))
    cloud.s3.put_object(Bucket="data", Key="train/legitimate/c.jpg", Body=b"GIF89a")
    DropFolder("data", "table").process("train/legitimate/c.jpg")
    mark_trained("models", {"train/clickbait/a.jpg": etag})

    answer = admin.get("/dataset")
    schemas.Dataset.model_validate_json(answer.content)
    body = answer.json()
    assert body["images"] == 3
    assert body["counts"] == {"clickbait_real": 1, "clickbait_fake": 2}
    real = body["classes"]["clickbait_real"]
    assert (real["width"]["mean"], real["height"]["mean"]) == (100, 50)
    assert real["formats"] == {"PNG": 1}
    assert 0 < real["colourfulness"]["mean"] < 200
    (family,) = body["duplicates"]["identical"]["items"]
    assert family["keys"] == ["train/clickbait/a.jpg", "train/clickbait_fake/again.jpg"]
    assert body["rejected"]["images"] == 1
    (refused,) = body["rejected"]["items"]
    assert refused["key"] == "train/legitimate/c.jpg"
    assert "GIF" in refused["detail"]
    waiting = body["waiting"]
    assert waiting["images"] == 1
    assert waiting["counts"] == {"clickbait_real": 1, "clickbait_fake": 0}
    assert waiting["reason"].startswith("You have 1 clickbait and 1 legitimate images.")


def test_samples_families_and_rejected_images_have_links(admin: TestClient, cloud: Any) -> None:
    first, second = encoded(picture()), encoded(picture((100, 50), seed=3), "PNG")
    drop(cloud, "train/clickbait/a b+é.jpg", first)
    drop(cloud, "train/clickbait/again.jpg", first)
    drop(cloud, "train/legitimate/b.png", second)
    cloud.s3.put_object(Bucket="data", Key="train/legitimate/c.jpg", Body=b"GIF89a")
    DropFolder("data", "table").process("train/legitimate/c.jpg")

    body = admin.get("/dataset").json()
    (fake,) = body["classes"]["clickbait_fake"]["samples"]
    (real,) = body["classes"]["clickbait_real"]["samples"]
    (family,) = body["duplicates"]["identical"]["items"]
    (refused,) = body["rejected"]["items"]
    assert (fake["key"], real["key"]) == ("train/clickbait/a b+é.jpg", "train/legitimate/b.png")
    assert [one["key"] for one in family["looks"]] == family["keys"]
    linked = [fake, real, *family["looks"], refused]
    bodies = [requests.get(one["url"], timeout=5).content for one in linked]
    assert bodies == [first, second, first, first, b"GIF89a"]
    assert all("X-Amz-Expires=300" in one["url"] for one in linked)


def test_a_rejected_image_that_was_deleted_has_no_link(admin: TestClient, cloud: Any) -> None:
    cloud.s3.put_object(Bucket="data", Key="train/legitimate/c.jpg", Body=b"GIF89a")
    DropFolder("data", "table").process("train/legitimate/c.jpg")
    cloud.s3.delete_object(Bucket="data", Key="rejected/train/legitimate/c.jpg")
    answer = admin.get("/dataset")
    schemas.Dataset.model_validate_json(answer.content)
    (refused,) = answer.json()["rejected"]["items"]
    assert (refused["key"], refused["url"]) == ("train/legitimate/c.jpg", None)


def test_an_empty_bucket_is_an_empty_data_set(admin: TestClient) -> None:
    body = admin.get("/dataset")
    schemas.Dataset.model_validate_json(body.content)
    assert body.json()["images"] == body.json()["rejected"]["images"] == 0


def test_uploads_that_are_not_processed_are_still_counted(admin: TestClient, cloud: Any) -> None:
    sqs = aws.client("sqs")
    queue = sqs.create_queue(QueueName="uploads")["QueueUrl"]
    cloud.set(UPLOADS_QUEUE=queue)
    answer = admin.get("/dataset")
    schemas.Dataset.model_validate_json(answer.content)
    assert answer.json()["counting"] == 0
    for _ in range(3):
        sqs.send_message(QueueUrl=queue, MessageBody="an event")
    # The timer of the quiet period is no upload.
    sqs.send_message(QueueUrl=queue, MessageBody="a timer", DelaySeconds=900)
    sqs.receive_message(QueueUrl=queue)  # One is being processed.
    assert admin.get("/dataset").json()["counting"] == 3


def test_the_figures_are_shown_although_the_queue_does_not_answer(
    admin: TestClient, cloud: Any
) -> None:
    cloud.set(UPLOADS_QUEUE="https://sqs.us-east-1.amazonaws.com/123456789012/missing")
    drop(cloud, "train/clickbait/a.jpg", encoded(picture()))
    answer = admin.get("/dataset")
    assert answer.status_code == 200
    assert (answer.json()["images"], answer.json()["counting"]) == (1, None)


def test_the_first_hundred_rejected_images_are_listed_and_all_are_counted(
    admin: TestClient, cloud: Any
) -> None:
    for n in range(101):
        key = f"train/clickbait/{n:03}.jpg"
        why = {"key": key, "reason": "broken-image", "detail": "It does not decode."}
        body = json.dumps(why).encode()
        cloud.s3.put_object(Bucket="data", Key=f"rejected/{key}.json", Body=body)
    rejected = admin.get("/dataset").json()["rejected"]
    assert rejected["images"] == 101
    assert [item["key"][-7:-4] for item in rejected["items"]] == [f"{n:03}" for n in range(100)]


def test_twenty_thousand_images_take_seconds(admin: TestClient, cloud: Any, monkeypatch) -> None:
    def item(n: int) -> dict[str, Any]:
        text = {
            "pk": "image#", "sk": f"train/{LABELS[n % 2]}/{n}.jpg", "label": LABELS[n % 2],
            "etag": f"{n:032x}",
            "format": "JPEG", "sha256": f"{n:064x}", "at": "2026-11-22T00:00:00+00:00",
            "phash": f"{n * 0x9E3779B97F4A7C15 % 2**64:016x}",
        }  # fmt: skip
        numbers = {name: {"N": "0.5"} for name in ("bytes", "width", "height", *APPEARANCE)}
        return {name: {"S": value} for name, value in text.items()} | numbers

    items = [item(n) for n in range(20_000)]
    pages = [{"Items": items[n : n + 2_500]} for n in range(0, 20_000, 2_500)]

    class Table:
        """A table that answers at once in pages of 1 MB, so that only our code is measured."""

        def get_item(self, **_: Any) -> Any:
            return {}

        def query(self, **given: Any) -> Any:
            if given["ExpressionAttributeValues"][":pk"] != {"S": "image#"}:
                return {"Items": []}
            page = pages.pop(0)
            more = {"LastEvaluatedKey": {"sk": page["Items"][-1]["sk"]}} if pages else {}
            return page | more

    client = aws.client
    monkeypatch.setattr(aws, "client", lambda s: Table() if s == "dynamodb" else client(s))
    images = {f"train/{LABELS[n % 2]}/{n}.jpg": f"{n + 8:032x}" for n in range(20_000)}
    mark_trained("models", images, {})
    started = time.process_time()
    answer = admin.get("/dataset")
    assert answer.json()["images"] == 20_000
    assert "8 new images and 8 removed images" in answer.json()["waiting"]["reason"]
    assert time.process_time() - started < 5
    assert len(answer.content) < 1_000_000


@pytest.mark.parametrize("sent", [{}, {"authorization": "Bearer wrong"}])
def test_if_access_is_public_only_an_admin_gets_links_to_images(
    client: TestClient, cloud: Any, sent: dict[str, str]
) -> None:
    cloud.set(ACCESS="public")
    first = encoded(picture())
    drop(cloud, "train/clickbait/a.jpg", first)
    drop(cloud, "train/clickbait/again.jpg", first)
    cloud.s3.put_object(Bucket="data", Key="train/legitimate/c.jpg", Body=b"GIF89a")
    DropFolder("data", "table").process("train/legitimate/c.jpg")

    def addresses(headers: dict[str, str]) -> set[bool]:
        answer = client.get("/dataset", headers=headers)
        schemas.Dataset.model_validate_json(answer.content)
        body = answer.json()
        shown = [
            *body["classes"]["clickbait_fake"]["samples"],
            *body["duplicates"]["identical"]["items"][0]["looks"],
            *body["rejected"]["items"],
        ]
        assert len(shown) == 4
        return {one["url"] is not None for one in shown}

    assert addresses(sent) == {False}
    assert addresses(cloud.admin) == {True}
