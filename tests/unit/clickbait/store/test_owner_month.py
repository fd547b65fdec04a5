"""A month of an owner: which runs start by themselves, when and why.

Uploads, relabelling, corrections, removals and failures happen as on AWS: the timer fires a minute
after the last upload, the reconciliation once a day here, and the daily check at the end of
each day. A stand-in ends the runs as each day says.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clickbait import LABELS, aws, keys
from clickbait.learning import update
from clickbait.store import runs, triggers
from clickbait.store.runs import FAILED, PROMOTED, REJECTED, Runs
from clickbait.store.trained import list_images, mark_trained, read_trained
from clickbait.store.triggers import Triggers
from tests.cloud import TABLE, cloud_in_memory
from tests.owner import DATA, Clock, both, move, remove, upload

MODELS = "models"
HOUR = 3_600.0
REAL, FAKE = LABELS
LARGE = 300
"""Images from which the network is fine-tuned here."""


class Month:
    """The service, its clock, and the runs that started: (day, trigger, method, reason)."""

    def __init__(self, service: Triggers, clock: Clock) -> None:
        self.service, self.clock = service, clock
        self.day_number = 0
        self.started: list[tuple[int, str, str, str]] = []
        self.outcome = PROMOTED
        self.rejected: list[str] | None = None
        self.meanwhile: Callable[[], None] | None = None

    def day(self, *acts: Callable[[], Any], outcome: str = PROMOTED) -> None:
        """Live one day: each act, then a quiet minute. Runs of the day end with `outcome`."""
        self.day_number += 1
        self.outcome = outcome
        for act in acts:
            act()
            self.service.on_upload()
            self.clock.now += 61
            self.follow(self.service.on_timer())
        self.clock.now += 24 * HOUR
        self.follow(self.service.reconcile())
        self.follow(self.service.on_schedule())

    def said(self) -> str:
        """The answer of GET /dataset now."""
        return self.service.outlook(self.service.survey())

    def follow(self, run: str | None) -> None:
        """Record a run that started, and end it; its end starts the next, as a job's end does."""
        while run:
            record = self.service.runs.get(run)
            self.started.append(
                (self.day_number, record["trigger"], record["method"], record["reason"])
            )
            seen = list_images(DATA), list_images(DATA, keys.EXAM)
            if self.meanwhile:
                act, self.meanwhile = self.meanwhile, None
                act()
                self.clock.now += 61
            if self.outcome != FAILED:
                mark_trained(MODELS, *seen, rejected=self.rejected)
            self.service.runs.end(run, self.outcome, "The worker said so.")
            self.clock.now += 1  # Runs of one second have no order.
            run = self.service.reconcile()

    def since_yesterday(self) -> list[tuple[str, str]]:
        """The trigger and the reason of each run of the last day."""
        return [(one[1], one[3]) for one in self.started if one[0] == self.day_number]


@pytest.fixture
def month(monkeypatch: pytest.MonkeyPatch) -> Iterator[Month]:
    clock = Clock()
    monkeypatch.setattr(runs, "time", clock)
    monkeypatch.setattr(triggers, "time", clock)
    monkeypatch.setattr(Runs, "_submit", lambda *_: None)
    monkeypatch.setattr(update, "LARGE", LARGE)
    with cloud_in_memory(DATA, MODELS, sharing=monkeypatch):
        url = aws.client("sqs").create_queue(QueueName="uploads")["QueueUrl"]
        service = Triggers(Runs(TABLE, learn_queue="learn"), DATA, MODELS, url, 20, 60)
        yield Month(service, clock)


def labelled(label: str, count: int) -> list[str]:
    """The first keys of a class."""
    return [key for key in list_images(DATA) if key.startswith(f"train/{label}/")][:count]


def corrections(count: int) -> None:
    """Accepted corrections, as `Feedback.accept` names them."""
    for n in range(count):
        key = f"train/{LABELS[n % 2]}/feedback-20261126-120000-{n:012x}.jpg"
        aws.client("s3").put_object(Bucket=DATA, Key=key, Body=key.encode())


def test_a_month_starts_the_runs_that_are_worth_it_and_no_other(month: Month) -> None:
    day, started = month.day, month.since_yesterday

    # One class first. The other comes a day later.
    day(lambda: upload(40, REAL))
    assert "You have 0 clickbait and 40 legitimate images" in month.said()
    assert started() == []
    day(lambda: upload(40, FAKE))
    assert started() == [("uploads", "80 new images since the last training.")]
    day()
    assert month.said() == "No image has changed since the last training."
    assert started() == []

    # A few images wait for the daily check. The gate refuses the result: they are examined.
    day(lambda: both(5, first=40), outcome=REJECTED)
    assert started() == [("schedule", "10 new images since the last training.")]
    day()
    assert started() == []

    # 30 images change their folders.
    swap = labelled(REAL, 15), labelled(FAKE, 15)
    day(lambda: (move(swap[0], f"train/{FAKE}"), move(swap[1], f"train/{REAL}")))
    assert started() == [("uploads", "30 relabelled images since the last training.")]

    # 60 images in swapped folders are rejected once. The next upload trains without them.
    month.rejected = upload(30, REAL, first=100) + upload(30, FAKE, first=100)
    day(outcome=REJECTED)
    assert "60 images are left out" in month.said()
    assert started() == [("uploads", "60 new images since the last training.")]
    month.rejected = None
    day(lambda: both(12, first=50))
    assert started() == [("uploads", "24 new images since the last training.")]
    assert len(read_trained(MODELS).left_out(list_images(DATA))) == 60

    # In the right folders they are news.
    wrong = {
        label: [key for key in labelled(label, 200) if int(key[:-4].rsplit("-", 1)[1]) >= 100]
        for label in LABELS
    }
    day(lambda: (move(wrong[REAL], f"train/{FAKE}"), move(wrong[FAKE], f"train/{REAL}")))
    assert started() == [("uploads", "60 relabelled images since the last training.")]

    # A run fails, and never again on these images.
    day(lambda: upload(25, REAL, first=200), outcome=FAILED)
    assert started() == [("uploads", "25 new images since the last training.")]
    assert "had the same images and ended as FAILED" in month.said()
    day()
    assert started() == []

    # One more image starts another run, which fails. Another one starts after the wait.
    day(lambda: upload(1, REAL, first=225), lambda: upload(1, REAL, first=226), outcome=FAILED)
    reasons = [reason for _, reason in started()]
    assert reasons == [f"{n} new images since the last training." for n in (26, 27)]
    day()
    assert started() == []

    # An admin mends the cause and starts a run, which forgets the failures.
    record = month.service.request(runs.Parameters(), "Requested by an admin.")
    month.follow(record["id"])
    assert started() == [("admin", "Requested by an admin.")]

    # 40 corrections, 25 removed images, 30 exam images.
    day(lambda: corrections(40))
    assert started() == [("uploads", "40 new images since the last training.")]
    day(lambda: remove(labelled(REAL, 25)))
    assert started() == [("uploads", "25 removed images since the last training.")]
    day(lambda: upload(30, REAL, prefix="exam"))
    assert started() == [("uploads", "30 changed exam images since the last training.")]

    # Uploads during a run start one more when it ends.
    month.meanwhile = lambda: both(10, first=320)
    day(lambda: both(10, first=300))
    assert [reason for _, reason in started()] == ["20 new images since the last training."] * 2

    # A rollback starts nothing.
    day(
        lambda: aws.client("s3").put_object(
            Bucket=MODELS, Key=keys.CHAMPION, Body=b'{"version": "20260101-000000-abcdef"}'
        )
    )
    assert started() == []

    # The record of what was trained on is lost: nothing to do, until the next image.
    aws.client("s3").delete_object(Bucket=MODELS, Key=keys.TRAINED)
    day()
    assert started() == []
    total = len(list_images(DATA)) + 1
    day(lambda: upload(1, REAL, first=500))
    assert started() == [("uploads", f"{total} new images since the last training.")]

    # All clickbait is removed, and comes back. From LARGE images on, the network is fine-tuned.
    gone = labelled(FAKE, 1_000)
    day(lambda: remove(gone))
    assert "0 clickbait" in month.said()
    assert started() == []
    day(lambda: upload(LARGE, FAKE, first=1_000))
    assert [trigger for trigger, _ in started()] == ["uploads"]
    assert month.started[-1][2] == "fine_tuning"
    assert {method for _, _, method, _ in month.started[:-1]} == {"small_update"}

    assert len(month.started) == 17
    assert len(month.service.runs.page(100)[0]) == 17, "no run is missing from this account"
