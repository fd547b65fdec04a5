"""unsure: off by default, bounded a day over all processes, never in a prediction's way."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from threading import Event
from typing import Any

import pytest
from fastapi.testclient import TestClient

from clickbait import aws
from clickbait.inference.classifier import Classifier
from clickbait.settings import CHECKOUT_BASELINE, settings
from clickbait.store import history
from clickbait.store import unsure as unsure_module
from clickbait.store.unsure import Unsure
from functions.predict import app as predict
from tests.cloud import TABLE, cloud_in_memory
from tests.samples.drawn import encoded, picture
from tests.waiting import DEADLINE

BUCKET = "data"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Clock:
    """Stands in for the class `datetime`: it is noon, because at midnight a new count begins."""

    def __init__(self, moment: datetime = NOON) -> None:
        self.moment = moment

    def now(self, _: object) -> datetime:
        return self.moment


@pytest.fixture(autouse=True)
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DATA_BUCKET", BUCKET)
    monkeypatch.setenv("TABLE", TABLE)
    monkeypatch.setenv("KEEP_UNSURE", "3")
    monkeypatch.setattr(unsure_module, "datetime", Clock())
    settings.cache_clear()
    with cloud_in_memory(BUCKET):
        yield
    monkeypatch.undo()
    settings.cache_clear()


def prediction(data: bytes, **changes: Any) -> dict[str, Any]:
    return {
        "prediction": "clickbait_fake",
        "probability": 0.61,
        "uncertain": True,
        "threshold": 0.5,
        "model_version": "v1",
        "image": {"sha256": sha256(data).hexdigest(), "format": "JPEG"},
        "cached": False,
    } | changes


def keep(keeper: Unsure, data: bytes, name: str = "", **changes: Any) -> bool:
    """Whether it was tried, waiting for the end of it."""
    work = keeper.keep(data, prediction(data, **changes), name)
    if work:
        work.result(DEADLINE)
    return work is not None


def kept() -> list[str]:
    return [found["Key"] for found in aws.list_objects(BUCKET, "")]


def test_an_unsure_image_is_kept_with_its_prediction_and_the_name_of_its_file() -> None:
    assert keep(Unsure(), b"one", "für mich.jpg")
    day = NOON.date().isoformat()
    (key,) = kept()
    assert key == f"review/{day}/{sha256(b'one').hexdigest()}"
    found = aws.client("s3").get_object(Bucket=BUCKET, Key=key)
    assert (found["Body"].read(), found["ContentType"]) == (b"one", "image/jpeg")
    facts = found["Metadata"]
    assert datetime.fromisoformat(facts.pop("at")).date().isoformat() == day
    assert facts == {
        "file_name": "f%C3%BCr%20mich.jpg", "prediction": "clickbait_fake",
        "probability": "0.610000", "threshold": "0.5", "model_version": "v1",
    }  # fmt: skip


def test_nothing_is_kept_that_is_sure_or_cached_or_not_asked_for(monkeypatch) -> None:
    keeper = Unsure()
    assert not keep(keeper, b"one", uncertain=False)
    assert not keep(keeper, b"one", cached=True)
    for variable in ("KEEP_UNSURE", "DATA_BUCKET"):
        monkeypatch.delenv(variable)
        settings.cache_clear()
        assert not keep(keeper, b"one")
    assert settings().keep_unsure == 0
    assert kept() == []


def test_the_log_names_the_key_of_a_kept_image_also_if_it_was_kept_before(monkeypatch) -> None:
    one = prediction(b"one", cached=True)
    key = Unsure().key(one)
    assert key.startswith("review/")
    assert key.endswith(f"/{sha256(b'one').hexdigest()}")
    assert Unsure().key(one | {"uncertain": False}) == ""
    monkeypatch.setenv("KEEP_UNSURE", "0")
    settings.cache_clear()
    assert Unsure().key(one) == ""


def test_all_processes_together_keep_as_many_as_asked_for_and_then_stop_asking(
    monkeypatch,
) -> None:
    processes = [Unsure() for _ in range(4)]
    for turn in range(3):
        for place, keeper in enumerate(processes):
            keep(keeper, f"{turn} {place}".encode())
    assert len(kept()) == 3
    # Full: neither the table nor the bucket is asked any more.
    monkeypatch.setattr(unsure_module, "_client", lambda _: pytest.fail("asked"))
    assert not any(keep(keeper, b"more") for keeper in processes)


def test_the_next_day_begins_anew_and_the_counter_expires(monkeypatch) -> None:
    keeper = Unsure()
    assert [keep(keeper, bytes([n])) for n in range(4)] == [True, True, True, False]
    monkeypatch.setattr(unsure_module, "datetime", Clock(NOON + timedelta(days=1)))
    assert keep(keeper, b"new")
    assert len({key.split("/")[1] for key in kept()}) == 2
    counters = aws.client("dynamodb").scan(TableName=TABLE)["Items"]
    assert sorted(int(item["images"]["N"]) for item in counters) == [1, 3]
    expires = {int(item["expires"]["N"]) for item in counters}
    assert expires == {int((NOON + timedelta(days=days)).timestamp()) for days in (2, 3)}


def test_without_a_table_a_process_counts_for_itself(monkeypatch) -> None:
    monkeypatch.delenv("TABLE")
    settings.cache_clear()
    keeper = Unsure()
    assert [keep(keeper, bytes([n])) for n in range(4)] == [True, True, True, False]


def test_what_comes_while_one_is_stored_is_not_kept_and_does_not_wait(monkeypatch) -> None:
    free = Event()
    keeper = Unsure()
    with monkeypatch.context() as patch:
        patch.setattr(unsure_module, "_claim", lambda *_: free.wait(DEADLINE))
        work = keeper.keep(b"one", prediction(b"one"))
        assert keeper.keep(b"two", prediction(b"two")) is None
        free.set()
        work.result(DEADLINE)
    assert len(kept()) == 1
    assert keep(keeper, b"two")


# --- POST /predict -------------------------------------------------------------------------------


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Of a model that is unsure about everything, in a process of its own."""
    model = Classifier.load(CHECKOUT_BASELINE)
    model._low, model._high = 0.0, 1.0
    monkeypatch.setattr(predict.service.live, "_classifier", model)
    monkeypatch.setattr(predict.service, "cache", {})
    own = Unsure()
    monkeypatch.setattr(unsure_module, "unsure", lambda: own)
    monkeypatch.setattr(history, "_paused_until", 0.0)
    # Waits for the object, as Lambda does.
    monkeypatch.setattr(predict.observability, "IN_LAMBDA", True)
    with TestClient(predict.app) as created:
        yield created


def post(client: TestClient, seed: int = 0) -> Any:
    files = {"file": (f"{seed}.jpg", encoded(picture(seed=seed)), "image/jpeg")}
    return client.post("/predict", files=files)


def test_predict_keeps_the_bytes_that_it_was_sent(client: TestClient) -> None:
    answer = post(client).json()
    assert answer["uncertain"]
    post(client)  # From the cache.
    (key,) = kept()
    assert key.endswith(answer["image"]["sha256"])
    found = aws.client("s3").get_object(Bucket=BUCKET, Key=key)
    assert found["Body"].read() == encoded(picture())
    assert found["Metadata"]["file_name"] == "0.jpg"


@pytest.mark.parametrize("missing", ["bucket", "table"])
def test_a_prediction_does_not_fail_with_its_image(
    client: TestClient, caplog, missing: str
) -> None:
    if missing == "bucket":
        aws.client("s3").delete_bucket(Bucket=BUCKET)
    else:
        aws.client("dynamodb").delete_table(TableName=TABLE)
    answers = [post(client, seed) for seed in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    # After the first failure nothing is tried for a while.
    assert caplog.messages.count("unsure image not kept") == 1
