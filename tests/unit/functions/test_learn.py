"""A small update, from the uploaded images to the decision, in a cloud in memory."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from clickbait import LABELS, aws
from clickbait.settings import CHECKOUT_BASELINE, settings
from clickbait.store.registry import Registry
from clickbait.store.runs import Parameters, Runs
from functions.learn import app
from tests.cloud import TABLE, cloud_in_memory
from tests.samples.classes import framed

REAL, FAKE = LABELS
BASELINE = json.loads((CHECKOUT_BASELINE / "metadata.json").read_bytes())["model_version"]


class Cloud:
    """The buckets, the table and the queues of the function."""

    def __init__(self) -> None:
        create = aws.client("sqs").create_queue
        self.uploads, self.learn = (
            create(QueueName=name)["QueueUrl"] for name in ("uploads", "learn")
        )
        self.runs = Runs(TABLE, learn_queue=self.learn)
        self.registry = Registry("models")

    def upload(self, first: int, of_each: int, folder: str = "train", swap: bool = False) -> None:
        """Upload framed drawings, each into the folder of its class."""
        for seed in range(first, first + of_each):
            for label, other in zip(LABELS, reversed(LABELS), strict=True):
                key = f"{folder}/{other if swap else label}/{seed}.jpg"
                aws.client("s3").put_object(Bucket="data", Key=key, Body=framed(label, seed))

    def request(self, **parameters: Any) -> str:
        """Start a run and return its id."""
        given = Parameters(**parameters)
        return str(self.runs.request("admin", given, "A test.", "small_update", "A test.")["id"])

    def run(self, **parameters: Any) -> dict[str, Any]:
        """A run that the function has brought to its end."""
        run = self.request(**parameters)
        assert app.handler(message(run), None) == {"batchItemFailures": []}
        return self.runs.get(run)

    def live(self) -> str:
        pointer = self.registry.pointer()
        return pointer.version if pointer else BASELINE


def message(run: str) -> dict[str, Any]:
    return {"Records": [{"messageId": "1", "body": json.dumps({"run": run})}]}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with cloud_in_memory("data", "models"):
        made = Cloud()
        for name, value in {
            "DATA_BUCKET": "data",
            "MODELS_BUCKET": "models",
            "TABLE": TABLE,
            "UPLOADS_QUEUE": made.uploads,
            "LEARN_QUEUE": made.learn,
        }.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        yield made
    settings.cache_clear()


def test_thirty_of_each_go_live(cloud: Cloud) -> None:
    cloud.upload(0, 30)
    run = cloud.run()
    assert run["state"] == "PROMOTED", run["reason"]
