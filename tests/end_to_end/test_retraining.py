"""Uploaded images replace the model, or the run says why not; one call restores the old model."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from clickbait import LABELS
from tests.local_stack import LocalStack
from tests.samples.classes import drawing
from tests.waiting import eventually

pytestmark = pytest.mark.end_to_end

OF_EACH = 120
"""A fine-tuning keeps 84 of both kinds back to prove itself on; it needs 50."""

ENDED = {"PROMOTED", "REJECTED", "FAILED"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Iterator[LocalStack]:
    """A stack of its own, with a quiet period of 2 s instead of a minute. A busy machine may pause
    for longer in the middle of the uploads, so a training begins with all of them alone.
    """
    folder = tmp_path_factory.mktemp("retraining")
    with LocalStack(folder, QUIET_PERIOD="2", MIN_NEW_IMAGES=str(2 * OF_EACH)) as stack:
        yield stack


@pytest.fixture(scope="module")
def admin(stack: LocalStack) -> Iterator[httpx.Client]:
    with stack.admin() as client:
        yield client


def upload(stack: LocalStack, first: int, of_each: int) -> None:
    """Upload drawings into train/, each into the folder of its class."""
    s3, bucket = stack.cloud("s3"), stack.description()["outputs"]["DataBucket"]
    for seed in range(first, first + of_each):
        for label in LABELS:
            key = f"train/{label}/a drawing+{seed}.jpg"
            s3.put_object(Bucket=bucket, Key=key, Body=drawing(label, seed))


def runs(admin: httpx.Client) -> list[dict]:
    return admin.get("/runs").raise_for_status().json()["items"]


def ended(admin: httpx.Client, run: str) -> dict:
    """The run after it has ended."""
    return eventually(
        lambda: (body := admin.get(f"/runs/{run}").json())["state"] in ENDED and body
    ) or pytest.fail(f"not ended: {admin.get(f'/runs/{run}').text}")


def version_that_answers(admin: httpx.Client) -> str:
    image = drawing(LABELS[0], 1)
    answer = admin.post("/predict", content=image, headers={"content-type": "image/jpeg"})
    return answer.raise_for_status().json()["model_version"]


class Caller(threading.Thread):
    """Sends predictions until the end, and counts the responses."""

    def __init__(self, stack: LocalStack) -> None:
        super().__init__()
        self.stack = stack
        self.done = threading.Event()
        self.statuses: Counter[int] = Counter()
        self.mixed = 0

    def run(self) -> None:
        images = [drawing(LABELS[n % 2], n) for n in range(20)]
        with self.stack.client() as client:
            for turn in range(100_000):
                answer = client.post(
                    "/predict",
                    content=images[turn % len(images)],
                    headers={"content-type": "image/jpeg"},
                )
                self.statuses[answer.status_code] += 1
                version = answer.json().get("model_version")
                self.mixed += answer.headers.get("x-model-version") != version
                if self.done.wait(0.1):
                    return

    def __enter__(self) -> "Caller":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.join()


def test_uploads_that_the_live_model_contradicts_are_rejected_before_training(stack, admin):
    """The model was trained on photographs and calls nearly all drawings legitimate."""
    before = version_that_answers(admin)
    upload(stack, 0, OF_EACH)
    assert eventually(lambda: runs(admin)), "no run started"
    (run,) = runs(admin)
    body = ended(admin, run["id"])
    assert body["state"] == "REJECTED", body["reason"]
    assert body["method"] == "small_update" and "Are the folders swapped?" in body["reason"]
    assert len(body["label_check"]["worst"]) == 10 and "version" not in body
    assert body["images"]["new"] == 2 * OF_EACH
    assert "RUNNING" in body["times"]
    assert version_that_answers(admin) == before
    dataset = admin.get("/dataset").raise_for_status().json()
    assert dataset["counts"] == dict.fromkeys(LABELS, OF_EACH)


def test_a_better_model_goes_live_by_itself_and_no_answer_fails(stack, admin):
    before = version_that_answers(admin)
    with Caller(stack) as caller:
        parameters = {"skip_label_check": True, "epochs": 10}
        # The end of a job is reported after that of its run; until then the API answers 409.
        answer = eventually(
            lambda: (got := admin.post("/retrain", json=parameters)).status_code == 202 and got
        )
        body = ended(admin, answer.json()["id"])
        assert body["state"] == "PROMOTED", body
        assert list(body["times"]) == ["QUEUED", "RUNNING", "EVALUATING", "PROMOTED"]
        assert body["epoch"] == body["epochs"] == 10 and body["metrics"]["val_auc"] is not None
        assert body["gate"]["passed"] and body["reason"].startswith("Right on ")
        version = body["version"]
        assert eventually(lambda: version_that_answers(admin) == version)
    assert version != before
    assert set(caller.statuses) == {200} and not caller.mixed
    listed = admin.get("/models").json()["items"]
    assert [m["version"] for m in listed if m["live"]] == [version]
    assert {before, version} <= {m["version"] for m in listed}


def test_of_two_promotions_at_one_moment_one_wins(stack, admin):
    """Whether they overlap or not, two never win over the same live model."""
    live, other = [m["version"] for m in admin.get("/models").json()["items"]][:2]

    def both_at_once() -> bool:
        target = next(m["version"] for m in admin.get("/models").json()["items"] if not m["live"])

        def promote(reason: str) -> int:
            with stack.admin() as client:
                body = {"reason": reason}
                return client.post(f"/models/{target}/promote", json=body).status_code

        with ThreadPoolExecutor(2) as pool:
            statuses = sorted(pool.map(promote, ("one of two", "two of two")))
        assert set(statuses) <= {200, 409} and 200 in statuses
        return statuses == [200, 409]

    assert eventually(both_at_once), "they never overlapped"
    assert {live, other} >= {
        m["version"] for m in admin.get("/models").json()["items"] if m["live"]
    }


def test_one_call_brings_yesterdays_model_back(stack, admin):
    live = admin.get("/promotions").json()["live"]["version"]
    listed = [m["version"] for m in admin.get("/models").json()["items"]]
    target = next(version for version in listed if version != live)
    answer = admin.post(f"/models/{target}/promote", json={"reason": "it was better yesterday"})
    assert answer.status_code == 200, answer.text
    assert eventually(lambda: version_that_answers(admin) == target)
    newest = admin.get("/promotions").json()["items"][0]
    assert newest["version"] == target and newest["reason"] == "it was better yesterday"


def test_three_poisoned_messages_of_ten_end_as_dead_letters_and_can_be_replayed(stack, admin):
    outputs = stack.description()["outputs"]
    sqs = stack.cloud("sqs")
    queue, dead = outputs["UploadsQueue"], outputs["UploadsDeadLetters"]
    # On AWS the next attempt of a message comes after six minutes; here after one second.
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
    s3 = stack.cloud("s3")
    keys = [f"train/{LABELS[n % 2]}/late {n}.jpg" for n in range(7)]
    poison = ["{half a", json.dumps({"what": "is this"}), json.dumps({"Records": [{"s3": 1}]})]
    for n, key in enumerate(keys):
        s3.put_object(Bucket=outputs["DataBucket"], Key=key, Body=drawing(LABELS[n % 2], 900 + n))
    for body in poison:
        sqs.send_message(QueueUrl=queue, MessageBody=body)

    def letters() -> int:
        names = ["ApproximateNumberOfMessages"]
        body = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=names)["Attributes"]
        return int(body[names[0]])

    def described() -> int:
        table = stack.cloud("dynamodb")
        found = [
            table.get_item(
                TableName=outputs["Table"], Key={"pk": {"S": "image#"}, "sk": {"S": key}}
            )
            for key in keys
        ]
        return sum("Item" in one for one in found)

    assert eventually(lambda: letters() == 3 and described() == 7), (letters(), described())
    assert "3 messages" in stack.operate("replay")
    assert eventually(lambda: letters() == 3), "broken messages came back to the queue"
