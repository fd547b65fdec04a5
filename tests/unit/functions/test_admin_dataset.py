"""The admin function's data set: the table's images in figures, and what was refused or waits."""

import json
import time
from typing import Any

import pytest
from fastapi.testclient import TestClient

from clickbait import LABELS
from clickbait.description import FEATURES
from clickbait.retraining import remember
from clickbait.uploads import Uploads
from functions.admin import schemas
from tests.samples.drawn import encoded, picture


def drop(cloud: Any, key: str, data: bytes) -> str:
    cloud.s3.put_object(Bucket="data", Key=key, Body=data)
    Uploads("data", "table").arrived(key)
    return str(cloud.s3.head_object(Bucket="data", Key=key)["ETag"]).strip('"')


def test_images_that_were_dropped_are_described(admin: TestClient, cloud: Any) -> None:
    first = encoded(picture())
    etag = drop(cloud, "train/clickbait/a.jpg", first)
    drop(cloud, "train/clickbait_fake/again.jpg", first)
    drop(cloud, "train/legitimate/b.png", encoded(picture((100, 50), seed=3), "PNG"))
    cloud.s3.put_object(Bucket="data", Key="train/legitimate/c.jpg", Body=b"GIF89a")
    Uploads("data", "table").arrived("train/legitimate/c.jpg")
    remember("models", {"train/clickbait/a.jpg": etag})

    answer = admin.get("/dataset")
    schemas.Dataset.model_validate_json(answer.content)
    told = answer.json()
    assert told["images"] == 3
    assert told["counts"] == {"clickbait_real": 1, "clickbait_fake": 2}
    real = told["classes"]["clickbait_real"]
    assert (real["width"]["mean"], real["height"]["mean"]) == (100, 50)
    assert real["formats"] == {"PNG": 1}
    assert 0 < real["colourfulness"]["mean"] < 200
    (family,) = told["duplicates"]["identical"]["items"]
    assert family["keys"] == ["train/clickbait/a.jpg", "train/clickbait_fake/again.jpg"]
    assert told["rejected"]["images"] == 1
    (refused,) = told["rejected"]["items"]
    assert refused["key"] == "train/legitimate/c.jpg"
    assert "GIF" in refused["detail"]
    assert told["waiting"] == {"images": 1, "counts": {"clickbait_real": 1, "clickbait_fake": 0}}


def test_an_empty_bucket_is_a_data_set_of_none(admin: TestClient) -> None:
    told = admin.get("/dataset")
    schemas.Dataset.model_validate_json(told.content)
    assert told.json()["images"] == told.json()["rejected"]["images"] == 0


def test_the_first_hundred_refused_are_told_and_all_are_counted(
    admin: TestClient, cloud: Any
) -> None:
    for n in range(101):
        key = f"train/clickbait/{n:03}.jpg"
        cloud.s3.put_object(Bucket="data", Key=f"rejected/{key}", Body=b"x")
        why = {"key": key, "reason": "broken-image", "detail": "It does not decode."}
        body = json.dumps(why).encode()
        cloud.s3.put_object(Bucket="data", Key=f"rejected/{key}.json", Body=body)
    told = admin.get("/dataset").json()["rejected"]
    assert told["images"] == 101
    assert [item["key"][-7:-4] for item in told["items"]] == [f"{n:03}" for n in range(100)]


@pytest.mark.timeout(120)
def test_ten_thousand_images_are_answered_in_seconds(
    admin: TestClient, cloud: Any, monkeypatch
) -> None:
    from clickbait import aws

    def item(n: int) -> dict[str, Any]:
        text = {
            "pk": "image#", "sk": f"train/{n}.jpg", "label": LABELS[n % 2], "etag": f"{n:032x}",
            "format": "JPEG", "sha256": f"{n:064x}", "at": "2026-11-22T00:00:00+00:00",
            "phash": f"{n * 0x9E3779B97F4A7C15 % 2**64:016x}",
        }  # fmt: skip
        numbers = {name: {"N": "0.5"} for name in ("bytes", "width", "height", *FEATURES)}
        return {name: {"S": value} for name, value in text.items()} | numbers

    items = [item(n) for n in range(10_000)]
    pages = [{"Items": items[n : n + 2_500]} for n in range(0, 10_000, 2_500)]

    class Table:
        """A table that answers at once, in pages of a megabyte: what is measured is ours."""

        def get_paginator(self, _: str) -> Any:
            return self

        def paginate(self, **_: Any) -> Any:
            return pages

    client = aws.client
    monkeypatch.setattr(aws, "client", lambda s: Table() if s == "dynamodb" else client(s))
    started = time.process_time()
    answer = admin.get("/dataset")
    assert answer.json()["images"] == 10_000
    assert time.process_time() - started < 5
    assert len(answer.content) < 1_000_000
