"""Sixty images of a taste of one's own give a better model in seconds, by a function alone."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from clickbait import LABELS
from clickbait.settings import CHECKOUT_BASELINE
from clickbait.store.runs import ENDED
from tests.end_to_end.test_retraining import Caller, ended, version_that_answers
from tests.local_stack import LocalStack
from tests.samples.classes import framed
from tests.waiting import eventually

pytestmark = pytest.mark.end_to_end

OF_EACH = 30

SHIPPED = json.loads((CHECKOUT_BASELINE / "metadata.json").read_bytes())["model_version"]


def make_live(admin: httpx.Client, version: str) -> None:
    """Roll back to a version that was live before, or to the shipped one."""
    body = {"reason": "a test of small updates begins or ends"}
    admin.post(f"/models/{version}/promote", json=body).raise_for_status()
    assert eventually(lambda: version_that_answers(admin) == version)


def runs(admin: httpx.Client) -> list[dict[str, Any]]:
    """The newest training runs."""
    return admin.get("/runs").raise_for_status().json()["items"]


@pytest.fixture
def uploaded(stack: LocalStack, admin: httpx.Client) -> Iterator[list[str]]:
    """Labelled images in `train/`, described, and no others, and the shipped model live: tests that
    shared the stack before may have left images, a run that these have started by themselves, and a
    model that already knows this taste. The images are deleted afterwards, and the model that was
    live before is live again.
    """
    outputs = stack.description()["outputs"]
    s3, bucket, table = stack.cloud("s3"), outputs["DataBucket"], stack.cloud("dynamodb")
    for prefix in ("train/", "exam/"):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                s3.delete_object(Bucket=bucket, Key=found["Key"])
    # Without images no other run can start and put its version in the place of the shipped one.
    assert eventually(lambda: admin.get("/dataset").json()["images"] == 0)
    assert eventually(lambda: all(run["state"] in ENDED for run in runs(admin)))
    before = version_that_answers(admin)
    make_live(admin, SHIPPED)
    keys = []
    for seed in range(OF_EACH):
        for label in LABELS:
            keys.append(f"train/{label}/framed {seed}.jpg")
            s3.put_object(Bucket=bucket, Key=keys[-1], Body=framed(label, seed))

    def described(key: str) -> bool:
        item = {"pk": {"S": "image#"}, "sk": {"S": key}}
        return "Item" in table.get_item(TableName=outputs["Table"], Key=item)

    assert eventually(lambda: all(map(described, keys)))
    yield keys
    for key in keys:
        s3.delete_object(Bucket=bucket, Key=key)
    make_live(admin, before)
    assert eventually(lambda: not any(map(described, keys)))


def test_sixty_images_go_live_in_seconds_and_no_answer_fails(stack, admin, uploaded):
    """The stack enforces the roles, so this also shows that the learn function may do what it
    does."""
    before = version_that_answers(admin)
    with Caller(stack) as caller:
        answer = admin.post("/retrain", json={})
        assert answer.status_code == 202, answer.text
        assert answer.json()["method"] == "small_update" and answer.json()["method_reason"]
        body = ended(admin, answer.json()["id"])
        assert body["state"] == "PROMOTED", body
        version = body["version"]
        assert eventually(lambda: version_that_answers(admin) == version)
    assert version != before
    assert set(caller.statuses) == {200} and not caller.mixed
    assert body["reason"].startswith("Right on ") and body["gate"]["passed"]
    own = body["gate"]["own"]
    assert own["candidate"]["right"] > own["champion"]["right"]
    assert sum(body["seconds"].values()) < 180, "the function's timeout on AWS"
    model = admin.get(f"/models/{version}").raise_for_status().json()
    assert model["live"] and model["metadata"]["anchor"] == SHIPPED
    evaluation = admin.get(f"/models/{version}/evaluation").raise_for_status().json()
    assert evaluation["images"] == len(uploaded)
    # Another process may answer, which looks for a new version every 30 seconds.
    assert eventually(lambda: admin.get("/model-info").json()["model_version"] == version)
    # The lease is free and the new images are counted: nothing is new, so nothing starts.
    assert runs(admin)[0]["id"] == body["id"]
