"""triggers: a run starts if it is worth it, never twice for the same images, and says why not."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from clickbait import LABELS, aws, keys
from clickbait.errors import BadRequest, Conflict
from clickbait.learning import update
from clickbait.learning.update import LARGE
from clickbait.settings import CHECKOUT_BASELINE
from clickbait.store import runs, triggers
from clickbait.store.registry import baseline_version
from clickbait.store.runs import FAILED, PROMOTED, REJECTED, Parameters, Runs
from clickbait.store.trained import list_images, mark_trained, read_trained
from clickbait.store.triggers import FIRST_WAIT, MAX_WAIT, Triggers, choose_method
from tests.cloud import TABLE, cloud_in_memory
from tests.owner import DATA, Clock, both, move, remove, upload

MODELS = "models"
ENOUGH = 25
"""Images of each class: with two classes, the fewest that a run learns from."""
HOUR = 3_600.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(runs, "time", clock)
    monkeypatch.setattr(triggers, "time", clock)
    return clock


@pytest.fixture
def service(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Triggers]:
    """Triggers at 20 news and a minute of quiet. A run that starts waits for `end`."""
    monkeypatch.setattr(Runs, "_submit", lambda *_: None)
    with cloud_in_memory(DATA, MODELS, sharing=monkeypatch):
        url = aws.client("sqs").create_queue(QueueName="uploads")["QueueUrl"]
        yield Triggers(
            Runs(TABLE, learn_queue="learn"), DATA, MODELS, url, min_new_images=20, quiet_period=60
        )


# --- what runs do ---------------------------------------------------------------------------------


def end(
    service: Triggers, run: str | None, state: str = PROMOTED, *, examined: bool = True
) -> None:
    """End a run as a job does; `examined`: it came as far as its images."""
    assert run is not None
    if examined and state != FAILED:
        mark_trained(MODELS, list_images(DATA), list_images(DATA, keys.EXAM))
    service.runs.end(run, state, "The worker said so.")
    triggers.time.now += 1  # type: ignore[attr-defined]  # Runs of one second have no order.


def learned(service: Triggers) -> None:
    """A first run that trained on ENOUGH images of each class."""
    both(ENOUGH)
    end(service, service.reconcile())


def every_way(service: Triggers) -> list[str | None]:
    """Fire everything that starts a run by itself."""
    return [service.on_timer(), service.reconcile(), service.on_schedule()]


def why(service: Triggers) -> str:
    """The answer of GET /dataset."""
    return service.outlook(service.survey())


def timers(service: Triggers) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
    counts = aws.client("sqs").get_queue_attributes(
        QueueUrl=service.uploads_queue, AttributeNames=names
    )["Attributes"]
    return sum(int(n) for n in counts.values())


# --- the timer ------------------------------------------------------------------------------------


def test_many_uploads_start_one_debounce_timer(service: Triggers, clock: Clock) -> None:
    for _ in range(5):
        service.on_upload()
        clock.now += 1
    assert timers(service) == 1


def test_a_run_starts_after_the_quiet_period_and_not_before(
    service: Triggers, clock: Clock
) -> None:
    both(ENOUGH)
    service.on_upload()
    clock.now += 40
    service.on_upload()
    clock.now += 21
    assert why(service) == "A training starts 60 seconds after the last upload."
    assert service.on_timer() is None and timers(service) == 2
    clock.now += 40
    assert why(service) == "A training starts within 15 minutes."
    run = service.on_timer()
    assert run and service.runs.get(run)["reason"] == "50 new images since the last training."
    assert why(service) == f"Run {run} is active. 50 new images wait until it ends."


def test_after_a_lost_message_reconcile_starts_the_run(service: Triggers, clock: Clock) -> None:
    both(ENOUGH)
    service.on_upload()
    assert service.reconcile() is None, "it is not quiet yet"
    clock.now += 61
    assert service.reconcile()


def test_a_clock_that_is_set_back_holds_back_no_run(service: Triggers, clock: Clock) -> None:
    both(ENOUGH)
    service.on_upload()
    clock.now -= HOUR
    assert service.reconcile(), "the last upload lies ahead"


def test_a_clock_that_is_set_back_holds_back_no_timer(service: Triggers, clock: Clock) -> None:
    service.on_upload()
    clock.now -= HOUR
    for _ in range(5):
        service.on_upload()
    assert timers(service) == 2


def test_of_two_timers_one_starts_a_run(service: Triggers, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 and SQS deliver at least once. The second timer listed before the first one's run."""
    both(ENOUGH)
    survey = service.survey()
    run = service.on_timer()
    assert run
    assert service.on_timer() is None
    with monkeypatch.context() as patched:
        patched.setattr(Runs, "active", lambda _: None)
        assert service.on_timer() is None, "the run has the digest of the same images"
        patched.setattr(Triggers, "obstacle", lambda *_: "")
        patched.setattr(Triggers, "survey", lambda *_: survey)
        assert service.on_timer() is None, "the run has the lease"
    end(service, run)
    assert service.on_timer() is None
    assert len(service.runs.page(10)[0]) == 1


def test_enough_uploads_during_a_run_start_one_more_when_it_ends(
    service: Triggers, clock: Clock
) -> None:
    both(ENOUGH)
    first = service.on_schedule()
    mark_trained(MODELS, list_images(DATA), {})
    both(10, first=ENOUGH)
    service.on_upload()
    clock.now += 61
    assert service.on_timer() is None
    assert first is not None
    service.runs.end(first, PROMOTED, "Better.")
    assert service.reconcile() not in (None, first)


def test_a_run_that_ends_while_uploads_go_on_leaves_the_next_to_the_timer(
    service: Triggers, clock: Clock
) -> None:
    both(ENOUGH)
    first = service.on_schedule()
    mark_trained(MODELS, list_images(DATA), {})
    both(10, first=ENOUGH)
    service.on_upload()
    assert first is not None
    service.runs.end(first, REJECTED, "Worse.")
    assert service.reconcile() is None
    clock.now += 61
    assert service.on_timer()


# --- enough images --------------------------------------------------------------------------------


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("count", [60, 110])
def test_one_class_alone_never_starts_a_run_and_a_sentence_says_so(
    service: Triggers,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    label: str,
    count: int,
) -> None:
    """Neither a small update nor, from 100 images on here, a fine-tuning."""
    monkeypatch.setattr(update, "LARGE", 100)
    upload(count, label)
    service.on_upload()
    clock.now += 2 * HOUR
    assert every_way(service) == [None, None, None]
    other = "legitimate" if label == "clickbait_fake" else "clickbait"
    assert why(service).endswith(f"Upload 15 more {other} images.")
    assert service.runs.latest() is None
    assert caplog.records[-1].reason == why(service)  # type: ignore[attr-defined]


def test_the_second_class_starts_the_run_for_which_the_first_waited(service: Triggers) -> None:
    upload(40, LABELS[0])
    assert service.on_timer() is None
    upload(14, LABELS[1])
    assert service.on_timer() is None
    assert why(service).endswith("Upload 1 more clickbait image.")
    upload(1, LABELS[1], first=14)
    assert service.on_timer()


def test_too_few_images_are_told_before_anything_is_computed(service: Triggers) -> None:
    both(20)
    assert every_way(service) == [None, None, None]
    assert why(service) == (
        "You have 20 clickbait and 20 legitimate images. Learning needs at least 50, with 15 of "
        "each kind. Upload 10 more images."
    )
    with pytest.raises(Conflict, match="Upload 10 more images"):
        service.request(Parameters(), "An admin asked.")
    assert service.runs.latest() is None
    upload(5, LABELS[0], first=20, prefix="exam")
    upload(5, LABELS[1], first=20, prefix="exam")
    assert service.on_timer(), "exam images are evidence too"


def test_exam_images_of_one_class_do_not_stand_in_for_images_to_learn_from(
    service: Triggers,
) -> None:
    upload(50, LABELS[0])
    upload(20, LABELS[1], prefix="exam")
    assert every_way(service) == [None, None, None]
    assert "0 clickbait and 50 legitimate images outside the exam set" in why(service)


def test_copies_and_images_with_both_labels_count_once_or_not_at_all(service: Triggers) -> None:
    both(24)
    for name in ("copy 1", "copy 2"):
        aws.client("s3").put_object(
            Bucket=DATA, Key=f"train/clickbait/{name}", Body=b"train/clickbait_fake/0"
        )
        aws.client("s3").put_object(Bucket=DATA, Key=f"train/legitimate/{name}", Body=b"both")
        aws.client("s3").put_object(Bucket=DATA, Key=f"train/clickbait/{name}!", Body=b"both")
    assert len(service.survey().own()) == 49
    assert service.on_timer() is None and why(service).endswith("Upload 1 more image.")


def test_fewer_news_wait_for_the_daily_schedule(service: Triggers) -> None:
    learned(service)
    upload(12, LABELS[0], first=ENOUGH)
    assert service.on_timer() is None and service.reconcile() is None
    assert why(service) == (
        "12 new images since the last training. A training starts by itself at 20, and once a day "
        "for any."
    )
    assert service.on_schedule()


def test_a_smaller_minimum_counts_at_once(service: Triggers) -> None:
    learned(service)
    upload(12, LABELS[0], first=ENOUGH)
    assert service.reconcile() is None
    least = Triggers(service.runs, DATA, MODELS, service.uploads_queue, 12, 60)
    assert least.reconcile()


# --- news -----------------------------------------------------------------------------------------


def test_images_that_a_run_trained_on_are_not_new_under_another_name(service: Triggers) -> None:
    learned(service)
    assert every_way(service) == [None, None, None]
    assert why(service) == "No image has changed since the last training."
    aws.client("s3").put_object(
        Bucket=DATA, Key=f"train/{LABELS[0]}/again.jpg", Body=f"train/{LABELS[0]}/{LABELS[0]}-0.jpg"
    )
    assert service.start_if_enough(1, "uploads") is None


def test_thirty_relabelled_images_start_a_run(service: Triggers) -> None:
    both(40)
    end(service, service.reconcile())
    real, fake = ([key for key in list_images(DATA) if label in key] for label in LABELS)
    move(real[:15], f"train/{LABELS[1]}")
    assert service.on_timer() is None
    move(fake[:15], f"train/{LABELS[0]}")
    run = service.on_timer()
    assert run
    assert service.runs.get(run)["reason"] == "30 relabelled images since the last training."
    end(service, run)
    assert every_way(service) == [None, None, None]


def test_as_many_removed_images_as_new_ones_start_a_run(service: Triggers) -> None:
    both(60)
    end(service, service.reconcile())
    remove(list(list_images(DATA))[:19])
    assert service.on_timer() is None and "19 removed images" in why(service)
    upload(1, LABELS[0], first=100)
    run = service.on_timer()
    assert run
    reason = "1 new image and 19 removed images since the last training."
    assert service.runs.get(run)["reason"] == reason


def test_a_changed_exam_set_starts_a_run(service: Triggers) -> None:
    learned(service)
    upload(20, LABELS[0], prefix="exam")
    run = service.reconcile()
    assert run and "20 changed exam images" in service.runs.get(run)["reason"]
    end(service, run)
    assert every_way(service) == [None, None, None]


def test_forty_accepted_corrections_start_a_run(service: Triggers) -> None:
    learned(service)
    for n in range(40):
        key = f"train/{LABELS[n % 2]}/feedback-20261126-120000-{n:012x}.jpg"
        aws.client("s3").put_object(Bucket=DATA, Key=key, Body=key.encode())
    run = service.on_timer()
    assert run and service.runs.get(run)["reason"].startswith("40 new images")


def test_a_rejected_upload_blocks_no_later_one(service: Triggers) -> None:
    """The label check rejects 60 swapped images. Without the mark they would block for ever."""
    both(30)
    run = service.on_timer()
    mark_trained(MODELS, list_images(DATA), {}, rejected=list(list_images(DATA)))
    end(service, run, REJECTED, examined=False)
    assert every_way(service) == [None, None, None]
    assert "60 images are left out, because the live model contradicts" in why(service)
    both(ENOUGH, first=30)
    second = service.on_timer()
    assert second and "there are 50 images of your own" in service.runs.get(second)["method_reason"]
    end(service, second)
    assert read_trained(MODELS).left_out(list_images(DATA)), "a later run does not bring them back"
    assert "60 images are left out" in why(service)


def test_an_admin_may_train_on_rejected_images(service: Triggers) -> None:
    both(30)
    mark_trained(MODELS, list_images(DATA), {}, rejected=list(list_images(DATA)))
    with pytest.raises(Conflict, match="You have 0 clickbait and 0 legitimate"):
        service.request(Parameters(), "An admin asked.")
    run = service.request(Parameters(skip_label_check=True), "An admin asked.")
    assert run["method"] == "small_update"


def test_images_moved_out_of_a_rejected_folder_are_news(service: Triggers) -> None:
    both(30)
    found = list(list_images(DATA))
    mark_trained(MODELS, list_images(DATA), {}, rejected=found)
    for old, new in (LABELS, LABELS[::-1]):
        move([key for key in found if f"{old}/" in key], f"train/{new}")
    run = service.on_timer()
    assert run and service.runs.get(run)["reason"].startswith("60 relabelled images")


def test_rejected_images_that_an_admin_confirms_are_news(service: Triggers) -> None:
    both(30)
    found = list_images(DATA)
    mark_trained(MODELS, found, {}, rejected=found)
    for key in list(found)[:-1]:
        item = {"pk": keys.IMAGE_PARTITION, "sk": key, keys.DECIDED: keys.ADMIN}
        aws.put_item(TABLE, item)
    run = service.on_timer()
    assert run
    assert service.runs.get(run)["reason"] == "59 confirmed images since the last training."
    mark_trained(MODELS, found, {}, rejected=list(found)[-1:])
    service.runs.end(run, REJECTED, "Worse.")
    assert every_way(service) == [None, None, None]
    assert "1 image is left out" in why(service)


# --- after failures -------------------------------------------------------------------------------


@pytest.mark.parametrize("listed", [False, True])
def test_a_run_that_failed_never_starts_again_by_itself_on_the_same_images(
    service: Triggers, clock: Clock, listed: bool
) -> None:
    both(ENOUGH)
    run = service.on_timer()
    assert run
    if listed:
        service.runs.report(run, listing=service.survey().digest)
    end(service, run, FAILED)
    for _ in range(5):
        clock.now += 24 * HOUR
        assert every_way(service) == [None, None, None]
    assert why(service) == (
        f"Run {run} had the same images and ended as FAILED: The worker said so. Add or change "
        "images, or start a training yourself."
    )
    assert service.request(Parameters(), "An admin asked.")["state"] == "QUEUED"


def test_images_of_an_older_failure_do_not_start_again_either(
    service: Triggers, clock: Clock
) -> None:
    both(ENOUGH)
    end(service, service.on_timer(), FAILED)
    more = upload(1, LABELS[0], first=ENOUGH)
    clock.now += HOUR
    end(service, service.on_timer(), FAILED)
    remove(more)
    clock.now += 24 * HOUR
    assert every_way(service) == [None, None, None]


def test_after_a_failure_new_uploads_start_a_run_after_the_wait(
    service: Triggers, clock: Clock
) -> None:
    both(ENOUGH)
    end(service, service.on_timer(), FAILED)
    upload(1, LABELS[0], first=ENOUGH)
    clock.now += FIRST_WAIT - 2
    assert every_way(service) == [None, None, None]
    assert why(service).startswith("The last training failed. The next starts by itself after ")
    clock.now += 1
    assert service.on_timer(), "the images of the failed run still count as new"


def test_the_wait_doubles_with_each_failure_up_to_six_hours_and_ends_with_success(
    service: Triggers, clock: Clock
) -> None:
    both(ENOUGH)
    for failures in range(12):
        upload(1, LABELS[0], first=ENOUGH + failures)
        wait = min(FIRST_WAIT * 2 ** (failures - 1), MAX_WAIT) if failures else 1.0
        clock.now += wait - 2
        assert failures == 0 or service.on_timer() is None
        clock.now += 1
        end(service, service.on_timer(), FAILED)
    upload(1, LABELS[0], first=ENOUGH + 12)
    assert wait == MAX_WAIT and why(service).startswith("The last 12 trainings failed. ")
    end(service, service.request(Parameters(), "An admin asked.")["id"], REJECTED)
    both(10, first=100)
    assert service.on_timer(), "a run that ended well forgets the failures"


def test_a_failure_that_lies_ahead_of_a_clock_that_is_set_back_holds_back_no_run(
    service: Triggers, clock: Clock
) -> None:
    both(ENOUGH)
    end(service, service.on_timer(), FAILED)
    upload(1, LABELS[0], first=ENOUGH)
    clock.now -= FIRST_WAIT / 2
    assert service.on_timer() is None
    clock.now -= 24 * HOUR
    assert service.on_timer()


def test_an_admin_is_never_held_back(service: Triggers) -> None:
    both(ENOUGH)
    for _ in range(5):
        end(service, service.request(Parameters(), "An admin asked.")["id"], FAILED)
    assert len(service.runs.page(10)[0]) == 5


# --- dead ends ------------------------------------------------------------------------------------


def test_an_owner_who_removes_a_class_is_told_what_is_missing(service: Triggers) -> None:
    learned(service)
    remove([key for key in list_images(DATA) if LABELS[1] in key])
    assert every_way(service) == [None, None, None]
    assert why(service).endswith("Upload 15 more clickbait images and 10 more of either kind.")
    upload(ENOUGH, LABELS[1], first=500)
    assert service.on_timer()


@pytest.mark.parametrize("damage", [b"", b"{", None])
def test_a_damaged_or_missing_record_of_what_was_trained_costs_one_run(
    service: Triggers, damage: bytes | None
) -> None:
    learned(service)
    if damage is None:
        aws.client("s3").delete_object(Bucket=MODELS, Key=keys.TRAINED)
    else:
        aws.client("s3").put_object(Bucket=MODELS, Key=keys.TRAINED, Body=damage)
    assert every_way(service) == [None, None, None], "the run with these images had all of them"
    both(1, first=ENOUGH)
    end(service, service.on_timer())
    assert every_way(service) == [None, None, None]


def test_a_rollback_starts_nothing(service: Triggers) -> None:
    learned(service)
    pointer = b'{"version": "20260101-000000-abcdef"}'
    aws.client("s3").put_object(Bucket=MODELS, Key=keys.CHAMPION, Body=pointer)
    assert every_way(service) == [None, None, None]
    both(10, first=ENOUGH)
    run = service.on_timer()
    assert run and service.runs.get(run)["method"] == "small_update"


# --- the method -----------------------------------------------------------------------------------

SHIPPED = {"architecture": "efficientnet_lite0", "from": None}


def test_fewer_images_than_the_limit_make_a_small_update_and_more_a_fine_tuning() -> None:
    method, reason = choose_method(LARGE - 1, Parameters(), SHIPPED)
    assert method == "small_update"
    assert reason == (
        f"Small update, because there are {LARGE - 1} images of your own, fewer than {LARGE}."
    )
    method, reason = choose_method(LARGE, Parameters(own_weight="stay_close"), {})
    assert method == "fine_tuning" and f"there are {LARGE} images of your own" in reason


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"from_scratch": True}, "the request sets from_scratch"),
        ({"architecture": "cnn"}, "the request sets architecture"),
        ({"epochs": 3}, "the request sets epochs"),
        ({"epochs": 3, "batch_size": 8}, "the request sets epochs and batch_size"),
        ({"learning_rate": 0.01}, "the request sets learning_rate"),
        ({"validation_split": 0.2}, "the request sets validation_split"),
        ({"method": "fine_tuning"}, "the request asks for it"),
    ],
)
def test_a_request_for_what_only_fine_tuning_has_chooses_it(given: Any, reason: str) -> None:
    assert choose_method(60, Parameters(**given), SHIPPED) == (
        "fine_tuning",
        f"Fine-tuning, because {reason}.",
    )


@pytest.mark.parametrize(
    "given",
    [{}, {"own_weight": "balanced"}, {"skip_label_check": True}, {"architecture": None},
     {"architecture": "efficientnet_lite0"}, {"from_scratch": False}],
)  # fmt: skip
def test_the_other_parameters_change_no_method(given: Any) -> None:
    assert choose_method(60, Parameters(**given), SHIPPED)[0] == "small_update"


def test_a_small_update_on_request_may_have_many_images_but_no_parameters_of_fine_tuning() -> None:
    asked = {"method": "small_update"}
    assert choose_method(2_000, Parameters(**asked), SHIPPED)[0] == "small_update"
    with pytest.raises(BadRequest, match="no epochs and learning_rate"):
        choose_method(60, Parameters(**asked, epochs=3, learning_rate=0.01), SHIPPED)
    with pytest.raises(BadRequest, match="cnn"):
        choose_method(60, Parameters(**asked), {"architecture": "cnn"})


def test_a_network_that_a_small_update_cannot_use_is_fine_tuned() -> None:
    method, reason = choose_method(60, Parameters(), {"architecture": "cnn"})
    assert method == "fine_tuning" and "cnn" in reason
    method, reason = choose_method(60, Parameters(), SHIPPED | {"replay": False})
    assert method == "fine_tuning" and "no stored images" in reason
    method, reason = choose_method(60, Parameters(), SHIPPED | {"from": "20260101-000000-abcdef"})
    assert method == "fine_tuning" and "was fine-tuned on your images" in reason


def test_the_method_follows_the_live_version(service: Triggers) -> None:
    """Without stored images to replay, every small update would fail, upload after upload."""
    both(ENOUGH)
    name, older = "20260101-000000-abcdef", "20250101-000000-abcdef"

    def live(**metadata: Any) -> str:
        files = {
            keys.CHAMPION: {"version": name},
            f"{keys.VERSIONS}{name}/metadata.json": SHIPPED | {"model_version": name} | metadata,
            f"{keys.VERSIONS}{name}/model.tflite": "a model",
        }
        for key, content in files.items():
            body = json.dumps(content).encode()
            aws.client("s3").put_object(Bucket=MODELS, Key=key, Body=body)
        run = service.request(Parameters(), "An admin asked.")
        end(service, run["id"], REJECTED, examined=False)
        return f"{run['method']}: {run['method_reason']}"

    assert live().startswith("fine_tuning: Fine-tuning, because the live model has no stored")
    assert live(anchor=older).startswith("fine_tuning: ")
    replay = f"{keys.VERSIONS}{older}/replay.npz"
    aws.client("s3").put_object(Bucket=MODELS, Key=replay, Body=b"features")
    assert live(anchor=older).startswith("small_update: ")
    assert live(anchor=baseline_version(CHECKOUT_BASELINE)).startswith("small_update: ")
    assert live(architecture="cnn").startswith("fine_tuning: ")
    aws.client("s3").put_object(Bucket=MODELS, Key=keys.CHAMPION, Body=b"{")
    run = service.request(Parameters(), "An admin asked.")
    assert run["method"] == "small_update"


def test_a_run_records_its_method_its_reason_and_its_images(
    service: Triggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update, "LARGE", 2 * ENOUGH)
    both(ENOUGH)
    service.on_upload()
    run = service.on_schedule()
    assert run
    record = service.runs.get(run)
    assert record["method"] == "fine_tuning" and "from 50 on" in record["method_reason"]
    assert record["listing"] == service.survey().digest
