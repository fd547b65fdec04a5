"""A small update, from the uploaded images to the decision, in a cloud in memory."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from clickbait import LABELS, aws
from clickbait.inference.prediction import answer
from clickbait.learning import manifest
from clickbait.settings import CHECKOUT_BASELINE, settings
from clickbait.store import answers
from clickbait.store.image_features import FeatureStore, ImageFeatures
from clickbait.store.registry import Registry
from clickbait.store.runs import ATTEMPTS, Parameters, Runs
from clickbait.store.trained import list_images, read_trained
from clickbait.store.triggers import TIMER_MESSAGE
from functions.admin.evaluation_schemas import Evaluation
from functions.learn import app
from functions.learn.attempt import Attempt
from tests.cloud import TABLE, cloud_in_memory
from tests.samples import shipped, small
from tests.samples.classes import drawing, framed, tinted
from tests.samples.drawn import encoded

_, FAKE = LABELS
BASELINE = shipped.METADATA["model_version"]


class Cloud:
    """The buckets, the table and the queues of the function."""

    def __init__(self) -> None:
        create = aws.client("sqs").create_queue
        self.uploads, self.learn = (
            create(QueueName=name)["QueueUrl"] for name in ("uploads", "learn")
        )
        self.runs = Runs(TABLE, learn_queue=self.learn)
        self.registry = Registry("models")

    def upload(
        self,
        first: int,
        of_each: int,
        folder: str = "train",
        image: Callable[[str, int], bytes] = framed,
    ) -> None:
        """Upload drawings, each into the folder of its class."""
        for seed in range(first, first + of_each):
            for label in LABELS:
                key = f"{folder}/{label}/{seed}.jpg"
                aws.client("s3").put_object(Bucket="data", Key=key, Body=image(label, seed))

    def request(self, **parameters: Any) -> str:
        """Start a run and return its id."""
        given = Parameters(**parameters)
        return str(self.runs.request("admin", given, "A test.", "small_update", "A test.")["id"])

    def run(self, **parameters: Any) -> dict[str, Any]:
        """A run that the function has brought to its end."""
        run = self.request(**parameters)
        assert app.handler(message(run), None) == {"batchItemFailures": []}
        return self.runs.get(run)

    def manifest(self, version: str) -> list[manifest.Record]:
        lines = self.registry.file(version, "manifest.csv").decode().splitlines()
        return list(manifest.read(lines))

    def live(self) -> str:
        pointer = self.registry.pointer()
        return pointer.version if pointer else BASELINE


def message(run: str) -> dict[str, Any]:
    return {"Records": [{"messageId": "1", "body": json.dumps({"run": run})}]}


_DESCRIBED: dict[bytes, ImageFeatures] = {}
"""Features of the drawings: computed once, because all tests use the same ones."""


@pytest.fixture(autouse=True)
def _described_once(monkeypatch: pytest.MonkeyPatch) -> None:
    describe = FeatureStore._describe

    def once(self: FeatureStore, data: bytes, group: str) -> ImageFeatures:
        if data not in _DESCRIBED:
            _DESCRIBED[data] = describe(self, data, group)
        return _DESCRIBED[data]

    monkeypatch.setattr(FeatureStore, "_describe", once)


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


def test_fifty_images_of_a_clear_taste_go_live(cloud: Cloud) -> None:
    cloud.upload(0, 25)
    run = cloud.run()
    assert run["state"] == "PROMOTED", run["reason"]
    assert run["reason"].startswith("Right on ") and run["times"].keys() >= {"EVALUATING"}
    assert run["images"] == {"listed": 50, "usable": 50, "new": 50, "left_out": 0, "exam": 0}
    assert run["gate"]["passed"] and run["gate"]["candidate"] == cloud.live() == run["version"]
    assert set(run["gate"]) >= {"reason", "champion", "best", "checks", "sets", "auc_difference"}
    assert run["gate"]["own"]["candidate"]["right"] > run["gate"]["own"]["champion"]["right"]
    assert cloud.runs.active() is None


def test_its_version_is_whole_and_says_where_it_comes_from(cloud: Cloud) -> None:
    cloud.upload(0, 25)
    version = cloud.run(own_weight="follow_labels")["version"]
    assert cloud.registry.load(version).version == version
    metadata = cloud.registry.metadata(version)
    assert (metadata["anchor"], metadata["before"], metadata["from"]) == (BASELINE, BASELINE, None)
    assert metadata["own_weight"] == metadata["small_update"]["own_weight"] == "follow_labels"
    assert metadata["images"]["train"] == dict.fromkeys(LABELS, 25)
    assert metadata["metrics"]["images"] == 50 and "recipe" not in metadata
    evaluation = cloud.registry.evaluation(version)
    mistakes = [mistake | {"url": None} for mistake in evaluation["mistakes"]]
    Evaluation.model_validate({"version": version} | evaluation | {"mistakes": mistakes})
    records = cloud.manifest(version)
    assert {record.side for record in records} == {"train"} and len(records) == 50
    assert "small update" in cloud.registry.file(version, "card.md").decode()
    assert BASELINE in cloud.registry.versions(), "an admin can roll back to it"


def test_a_network_of_another_size_learns_and_can_be_rolled_back_to(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "_DESCRIBED", {})  # Another network's features.
    anchor = "20990101-000000-aaaaaa"
    cloud.registry.publish(small.write(tmp_path / "small", anchor))
    cloud.registry.promote(anchor, by="admin", reason="A test.", baseline=CHECKOUT_BASELINE)
    cloud.upload(0, 25, image=tinted)
    run = cloud.run()
    assert run["state"] == "PROMOTED", run["reason"]
    live = cloud.registry.load(cloud.live())
    assert (live.size, live.metadata["anchor"]) == (small.SIZE, anchor)
    shown = answer(live, tinted(FAKE, 0), explain=True).prediction
    assert len(shown["heatmap"]) == small.SIDE
    for version, size in ((BASELINE, shipped.SIZE), (run["version"], small.SIZE)):
        cloud.registry.promote(version, by="admin", reason="Back.", baseline=CHECKOUT_BASELINE)
        assert cloud.registry.load(cloud.live()).size == size


def test_it_leaves_what_later_runs_and_pages_need(cloud: Cloud) -> None:
    cloud.upload(0, 25)
    cloud.upload(100, 2, folder="exam")
    run = cloud.run()
    images = list_images("data")
    assert not read_trained("models").unseen(images)
    assert not read_trained("models").news(images, list_images("data", "exam/")).total
    stored = answers.read("models")
    used = {record.file for record in cloud.manifest(run["version"]) if record.side}
    assert stored.version == run["version"] and set(stored.images) == used
    assert any(key.startswith("exam/") for key in used)
    assert run["images"]["exam"] == 4
    bodies = aws.client("sqs").receive_message(QueueUrl=cloud.uploads)["Messages"]
    assert [json.loads(each["Body"]) for each in bodies] == [TIMER_MESSAGE]


def test_too_few_images_end_a_run_before_any_computing(cloud: Cloud) -> None:
    cloud.upload(0, 20)
    run = cloud.run()
    assert run["state"] == "REJECTED" and "Upload 10 more images." in run["reason"]
    assert not list(aws.list_objects("models", "features/")) and cloud.live() == BASELINE
    assert len(read_trained("models").unseen(list_images("data"))) == 40, "they still count"


def test_rejected_labels_are_left_out_and_never_block_later_ones(cloud: Cloud) -> None:
    cloud.upload(0, 25, image=drawing)
    run = cloud.run()
    assert run["state"] == "REJECTED" and "Are the folders swapped?" in run["reason"]
    assert run["label_check"]["rejected"] and len(run["label_check"]["worst"]) == 10
    images = list_images("data")
    assert read_trained("models").left_out(images) == set(images)
    again = cloud.run()
    assert again["state"] == "REJECTED" and "50 images are left out" in again["reason"]

    cloud.upload(100, 25)
    later = cloud.run()
    assert later["state"] == "PROMOTED", later["reason"]
    assert later["images"] | {"listed": 100, "usable": 50} == later["images"]
    assert read_trained("models").left_out(images) == set(images)


def test_an_admin_may_skip_the_label_check(cloud: Cloud) -> None:
    cloud.upload(0, 25, image=drawing)
    assert cloud.run()["state"] == "REJECTED"
    run = cloud.run(skip_label_check=True)
    assert run["images"]["usable"] == 50 and "version" in run
    assert not read_trained("models").left_out(list_images("data"))


def test_labels_that_an_admin_decided_are_not_checked(cloud: Cloud) -> None:
    cloud.upload(0, 25, image=drawing)
    for key, etag in list_images("data").items():
        fields = {"pk": "image#", "sk": key, "etag": etag, "decided": "admin"}
        aws.put_item(TABLE, fields)
    run = cloud.run()
    assert "label_check" not in run and run["images"]["usable"] == 50


def test_copies_of_exam_images_are_not_learned_from_and_the_run_says_so(cloud: Cloud) -> None:
    cloud.upload(0, 26)
    small = Image.open(io.BytesIO(framed(FAKE, 0))).resize((200, 112))
    aws.client("s3").put_object(Bucket="data", Key=f"exam/{FAKE}/0.jpg", Body=encoded(small))
    run = cloud.run()
    (left_out,) = (r for r in cloud.manifest(run["version"]) if r.file == f"train/{FAKE}/0.jpg")
    assert left_out.reason == f"a copy of an exam image, exam/{FAKE}/0.jpg" and not left_out.side
    assert any("left out: a copy of an exam image." in warning for warning in run["warnings"])
    assert run["images"]["left_out"] >= 1


def test_the_next_update_starts_at_the_same_anchor_with_all_images(cloud: Cloud) -> None:
    cloud.upload(0, 25)
    first = cloud.run()["version"]
    cloud.upload(100, 5)
    run = cloud.run()
    metadata = cloud.registry.metadata(run["version"])
    assert (metadata["anchor"], metadata["before"]) == (BASELINE, first)
    assert metadata["training_images"] == 60 and run["champion"] == first
    assert run["images"]["new"] == 10
    names = [check["name"] for check in run["gate"]["checks"]]
    assert "auc against shipped, world" in names, "small losses must not add up"


def test_another_promotion_meanwhile_has_it_decide_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote = Registry.promote
    calls: list[str] = []

    def meddle(self: Registry, version: str, **options: Any) -> Any:
        calls.append(version)
        if len(calls) == 1:
            expected = self.pointer()
            promote(self, BASELINE, by="somebody", reason="A test.", expected=expected)
        return promote(self, version, **options)

    monkeypatch.setattr(Registry, "promote", meddle)
    cloud.upload(0, 25)
    run = cloud.run()
    assert run["state"] == "PROMOTED" and calls == [run["version"]] * 2
    assert cloud.live() == run["version"]


@pytest.mark.parametrize("step", ["_learn", "_keep_answers"])
def test_an_update_that_is_cancelled_meanwhile_changes_nothing_that_is_live(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Before it publishes a version, and in the last moment before it promotes one."""
    original = getattr(Attempt, step)

    def then_cancel(self: Attempt, *given: Any) -> Any:
        done = original(self, *given)
        cloud.runs.cancel(self.id, "Cancelled by a test.")
        return done

    monkeypatch.setattr(Attempt, step, then_cancel)
    cloud.upload(0, 25)
    run = cloud.run()
    assert (run["state"], run["reason"]) == ("CANCELLED", "Cancelled by a test.")
    assert cloud.live() == BASELINE and not list(cloud.registry.promotions())
    published = [name for name in cloud.registry.versions() if name != BASELINE]
    assert len(published) == (step == "_keep_answers")
    assert cloud.runs.active() is None


def test_a_fault_is_tried_three_times_and_then_reported(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Attempt) -> None:
        raise RuntimeError("S3 is away")

    monkeypatch.setattr(Attempt, "go", fail)
    run = cloud.request()
    for attempt in range(1, ATTEMPTS):
        assert app.handler(message(run), None)["batchItemFailures"] == [{"itemIdentifier": "1"}]
        assert f"Attempt {attempt} of {ATTEMPTS}" in cloud.runs.get(run)["reason"]
        assert cloud.runs.active() == run
    assert not app.handler(message(run), None)["batchItemFailures"]
    ended = cloud.runs.get(run)
    assert ended["state"] == "FAILED" and "S3 is away" in ended["reason"]
    assert cloud.runs.active() is None and cloud.live() == BASELINE


def test_a_network_without_stored_images_is_fine_tuned_instead(cloud: Cloud) -> None:
    cloud.upload(0, 25)
    metadata = json.loads((CHECKOUT_BASELINE / "metadata.json").read_bytes())
    other = "20990101-000000-aaaaaa"
    files = {
        "model.tflite": (CHECKOUT_BASELINE / "model.tflite").read_bytes(),
        "metadata.json": json.dumps(metadata | {"model_version": other}).encode(),
    }
    for name, body in files.items():
        aws.client("s3").put_object(Bucket="models", Key=f"versions/{other}/{name}", Body=body)
    cloud.registry.promote(other, by="a test", reason="A test.")
    run = cloud.run()
    assert run["state"] == "FAILED" and "`fine_tuning`" in run["reason"]
    assert cloud.live() == other


@pytest.mark.parametrize("body", ["{half", "[]", '{"run": 1}', '{"run": "20260101-000000-abcdeg"}'])
def test_an_invalid_message_is_returned(cloud: Cloud, body: str) -> None:
    event = {"Records": [{"messageId": "1", "body": body}]}
    assert app.handler(event, None) == {"batchItemFailures": [{"itemIdentifier": "1"}]}


def test_a_message_about_an_ended_or_unknown_run_is_done(cloud: Cloud) -> None:
    assert app.handler(message("20260101-000000-abcdef"), None) == {"batchItemFailures": []}
