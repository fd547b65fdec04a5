"""When a training starts by itself, why not, and by which method.

News are images that are new, relabelled, removed or changed in the exam set since the last run
(`trained`). An upload only starts the debounce timer, one delayed message at a time. When the timer
fires and nothing has arrived for the quiet period, the news are counted. They are also counted when
a run ends and every 15 minutes, because a message may be lost, and once a day, when one is enough.

As many removed or relabelled images as new ones make a run: each changes what the next model learns
as much as a new image does.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import takewhile
from typing import Any, Self

from clickbait import LABELS, aws
from clickbait.errors import BadRequest, Conflict, InvalidModel, NotFound, Unavailable
from clickbait.keys import (
    DECIDED,
    EXAM,
    IMAGE_PARTITION,
    LOCK_PARTITION,
    VERSIONS,
    is_decided,
)
from clickbait.observability import logger
from clickbait.settings import settings
from clickbait.store.registry import Registry, baseline_version
from clickbait.store.runs import FAILED, FINE_TUNING, SMALL_UPDATE, Method, Parameters, Runs
from clickbait.store.trained import (
    Listing,
    News,
    Trained,
    digest,
    labels_of,
    list_images,
    read_trained,
)

TIMER = "quiet"
"""Sort key of the debounce timer: `last_upload`, and `due`, the time of its message."""
TIMER_MESSAGE = {"action": "quiet"}
MAX_DELAY_SECONDS = 900
"""The longest that SQS delays a message."""


FIRST_WAIT = 60.0
MAX_WAIT = 6 * 3_600.0
"""Seconds that must pass after a failed run before the next starts by itself. The time doubles with
each failure in a row. So uploads that go on for a day while every run fails start 13 runs, and an
owner who mends the cause waits for six hours at most, or starts a run at once."""

RECENT = 20
"""Runs whose failures and images are looked at. After 10 failures the wait is MAX_WAIT."""

ONLY_FINE_TUNING = (
    "from_scratch",
    "architecture",
    "epochs",
    "batch_size",
    "learning_rate",
    "validation_split",
)
"""Parameters that a small update does not have."""


@dataclass(frozen=True)
class Survey:
    """The labelled images of now, in `train/` and in `exam/`, and those that runs examined.

    decided: the keys of images that a label check rejected, if an admin has decided their labels.
    """

    train: Listing
    exam: Listing
    trained: Trained
    decided: frozenset[str] = frozenset()

    @cached_property
    def digest(self) -> str:
        return digest(self.train | self.exam)

    @cached_property
    def news(self) -> News:
        news = self.trained.news(self.train, self.exam)
        back = len(self.decided)
        return replace(news, decided=back, total=news.total + back)

    @cached_property
    def left_out(self) -> set[str]:
        """The keys of images that a label check rejected, and that nobody has changed since."""
        return self.trained.left_out(self.train) - self.decided

    def own(self, all_labels: bool = False) -> list[str]:
        """The label of each different image in `train/` that a run may learn from.

        Images that a label check rejected are among them only if `all_labels`. Images with both
        labels never are.
        """
        left_out = set() if all_labels else self.left_out
        found = labels_of({key: etag for key, etag in self.train.items() if key not in left_out})
        return [label for labels in found.values() if len(labels) == 1 for label in labels]

    def missing(self, all_labels: bool = False) -> str:
        """A sentence about the images that an owner must add before a run can learn, or ""."""
        import numpy as np

        # Imported here because the update's network code takes 0.2 s to import.
        from clickbait.learning.decide import missing
        from clickbait.learning.update import missing_to_learn

        exam = [label for labels in labels_of(self.exam, EXAM).values() for label in labels]
        own = np.array([LABELS.index(label) for label in self.own(all_labels)], np.int64)
        exams = np.array([LABELS.index(label) for label in exam], np.int64)
        return missing(np.concatenate([own, exams])) or missing_to_learn(own)


def choose_method(
    own_images: int, parameters: Parameters, champion: Mapping[str, Any]
) -> tuple[Method, str]:
    """The method of a run, and why, in a sentence.

    own_images: the number of different images in `train/`. champion: the metadata of the live
    version; empty if it is unknown. Its `replay` is False if the network has no stored images that
    a small update could replay. Raises BadRequest if `parameters` ask for a small update and
    for something that it cannot do.
    """
    from clickbait.learning.update import LARGE

    given = parameters.model_dump(exclude_none=True, exclude_defaults=True)
    live = champion.get("architecture")
    if parameters.architecture == live:
        given.pop("architecture", None)
    tuning = [name for name in ONLY_FINE_TUNING if name in given]
    names = " and ".join(filter(None, [", ".join(tuning[:-1]), *tuning[-1:]]))
    if parameters.method == SMALL_UPDATE:
        if tuning:
            raise BadRequest(
                f"A small update learns only the last layer, so it has no {names}. Leave it out, "
                f"or use the method {FINE_TUNING}.",
                errors=[{"field": name, "message": "a small update has none"} for name in tuning],
            )
        if live == "cnn":
            raise BadRequest(
                "The live model is a cnn, whose last layer cannot be learned by itself. Use the "
                f"method {FINE_TUNING}."
            )
        return SMALL_UPDATE, "Small update, because the request asks for it."
    if parameters.method == FINE_TUNING:
        return FINE_TUNING, "Fine-tuning, because the request asks for it."
    if tuning:
        return FINE_TUNING, f"Fine-tuning, because the request sets {names}."
    if live == "cnn":
        return FINE_TUNING, (
            "Fine-tuning, because the live model is a cnn, whose last layer cannot be learned by "
            "itself."
        )
    if champion.get("from"):
        return FINE_TUNING, (
            "Fine-tuning, because the network of the live model was fine-tuned on your images. A "
            "small update must not measure itself on images that its network knows."
        )
    if champion.get("replay") is False:
        return FINE_TUNING, (
            "Fine-tuning, because the live model has no stored images to replay, so a small update "
            "would forget what it knows."
        )
    if own_images >= LARGE:
        return FINE_TUNING, (
            f"Fine-tuning, because there are {own_images:,} images of your own, and from {LARGE} "
            "on it learns more than a small update."
        )
    return SMALL_UPDATE, (
        f"Small update, because there are {own_images} images of your own, fewer than {LARGE}."
    )


def check_soon(uploads_queue: str) -> None:
    """Have the retrain function count the new images soon, for example because a run has ended."""
    aws.client("sqs").send_message(QueueUrl=uploads_queue, MessageBody=json.dumps(TIMER_MESSAGE))


@dataclass(frozen=True)
class Triggers:
    """Starts trainings on uploads and schedules."""

    runs: Runs
    data_bucket: str
    models_bucket: str
    uploads_queue: str
    min_new_images: int
    quiet_period: int

    @classmethod
    def from_settings(cls) -> Self:
        """Raises Unavailable if the process has no table."""
        config = settings()
        return cls(
            Runs.from_settings(),
            config.data_bucket,
            config.models_bucket,
            config.uploads_queue,
            config.min_new_images,
            config.quiet_period,
        )

    def on_upload(self) -> None:
        """Record that images arrived, and start the debounce timer if it is not running."""
        now = time.time()
        started = self._update_timer(
            "SET last_upload = :now, due = :due",
            {":now": now, ":due": now + self.quiet_period, ":latest": now + 2 * self.quiet_period},
            "attribute_not_exists(due) OR due <= :now OR due > :latest",
        )
        if started:
            self._schedule_check(self.quiet_period)
        else:
            self._update_timer("SET last_upload = :now", {":now": now})

    def on_timer(self) -> str | None:
        """The debounce timer fired: restart it for the rest of the quiet period, or start a run if
        enough images are new. Returns the run's id."""
        seconds = self._seconds_until_quiet()
        if seconds > 0:
            self._update_timer("SET due = :due", {":due": time.time() + seconds})
            self._schedule_check(seconds)
            return None
        return self.start_if_enough(self.min_new_images, "uploads")

    def reconcile(self) -> str | None:
        """Settle an interrupted run, then start one if enough images are new and none arrive."""
        self.runs.settle()
        if self._seconds_until_quiet() > 0:
            return None
        return self.start_if_enough(self.min_new_images, "uploads")

    def on_schedule(self) -> str | None:
        """The daily check: settle an interrupted run. Then start one if any image is new."""
        self.runs.settle()
        return self.start_if_enough(1, "schedule")

    def request(self, parameters: Parameters, reason: str) -> dict[str, Any]:
        """Start a run for an admin, whatever failed before, and return it.

        Raises Conflict if a run is active, or if there are too few images for a small update.
        Raises BadRequest as `choose_method` does, and Unavailable as `Runs.request` does.
        """
        survey = self.survey()
        all_labels = parameters.skip_label_check
        method, why = self._method(survey.own(all_labels), parameters)
        if method == SMALL_UPDATE and self.runs.active() is None:
            short = survey.missing(all_labels)
            if short:
                raise Conflict(short)
        return self.runs.request("admin", parameters, reason, method, why, listing=survey.digest)

    def start_if_enough(self, least: int, trigger: str) -> str | None:
        """Start a run if `least` images are news and nothing is in its way; return its id, else
        None."""
        if self.runs.active():
            return None
        survey = self.survey()
        obstacle = self.obstacle(survey, least)
        if obstacle:
            logger.info("no run starts", reason=obstacle)
            return None
        parameters = Parameters()
        method, why = self._method(survey.own(), parameters)
        reason = f"{survey.news} since the last training."
        try:
            run = self.runs.request(trigger, parameters, reason, method, why, listing=survey.digest)
        except (Conflict, Unavailable) as problem:
            logger.warning("no run started", reason=problem.detail)
            return None
        return str(run["id"])

    def survey(self, train: Listing | None = None) -> Survey:
        """Read what a decision depends on. `train` is a listing of `train/`, if there is one."""
        images = list_images(self.data_bucket) if train is None else train
        exam = list_images(self.data_bucket, EXAM)
        trained = read_trained(self.models_bucket)
        return Survey(images, exam, trained, self._decided(trained.left_out(images)))

    def outlook(self, survey: Survey) -> str:
        """Why no run has started, or when one will, in sentences."""
        active = self.runs.active()
        if active and survey.news.total:
            return f"Run {active} is active. {_capital(survey.news)} wait until it ends."
        obstacle = self.obstacle(survey, self.min_new_images)
        if obstacle:
            return obstacle
        if self._seconds_until_quiet() > 0:
            return f"A training starts {self.quiet_period} seconds after the last upload."
        return "A training starts within 15 minutes."

    def obstacle(self, survey: Survey, least: int) -> str:
        """Why no run starts by itself at `least` news, in sentences. "" if one may start."""
        short = survey.missing()
        if short:
            return f"{_left_out(survey)} {short}".strip()  # First why there are so few.
        news = survey.news
        if not news.total:
            return "No image has changed since the last training." + _left_out(survey)
        recent, _ = self.runs.page(RECENT)
        same = next((run for run in recent if run.get("listing") == survey.digest), None)
        if same:
            return (
                f"Run {same['id']} had the same images and ended as {same['state']}: "
                f"{same['reason']} Add or change images, or start a training yourself."
            )
        if news.total < least:
            return (
                f"{_capital(news)} since the last training. A training starts by itself at {least},"
                " and once a day for any." + _left_out(survey)
            )
        return _back_off(recent)

    def _method(self, own: Sequence[str], parameters: Parameters) -> tuple[Method, str]:
        return choose_method(len(own), parameters, self._champion())

    def _decided(self, rejected: set[str]) -> frozenset[str]:
        """Those of the keys `rejected` whose labels an admin has decided."""
        if not rejected:
            return frozenset()
        items = aws.query(self.runs.table, IMAGE_PARTITION)
        marks = {item["sk"]: item.get(DECIDED) for item in items}
        return frozenset(key for key in rejected if is_decided(key, marks.get(key)))

    def _champion(self) -> dict[str, Any]:
        """The live version's metadata with `replay`, as in `choose_method`. Empty if none was
        promoted, or if it cannot be read."""
        registry = Registry(self.models_bucket)
        pointer = registry.pointer()
        if pointer is None or not pointer.version:
            return {}
        try:
            metadata = registry.metadata(pointer.version)
        except (NotFound, InvalidModel) as problem:
            logger.error("the live version has no metadata", reason=problem.detail)
            return {}
        return metadata | {"replay": self._has_replay(metadata.get("anchor", pointer.version))}

    def _has_replay(self, version: str) -> bool:
        """Whether the network of a version has stored images to replay."""
        from clickbait.learning import replay

        if version == baseline_version(settings().model_folder):
            return True
        key = f"{VERSIONS}{version}/{replay.FILE}"
        return any(found["Key"] == key for found in aws.list_objects(self.models_bucket, key))

    def _seconds_until_quiet(self) -> float:
        timer = aws.get_item(self.runs.table, LOCK_PARTITION, TIMER) or {}
        last_upload: float = timer.get("last_upload", 0.0)
        # The distance, not the age: an upload may lie ahead if the clock was set back.
        return self.quiet_period - abs(time.time() - last_upload)

    def _schedule_check(self, seconds: float) -> None:
        # Rounded up, because a message that comes a moment early only restarts the timer.
        aws.client("sqs").send_message(
            QueueUrl=self.uploads_queue,
            MessageBody=json.dumps(TIMER_MESSAGE),
            DelaySeconds=min(int(seconds) + 1, MAX_DELAY_SECONDS),
        )

    def _update_timer(
        self, expression: str, values: Mapping[str, float], condition: str = ""
    ) -> bool:
        timer = aws.update_item(
            self.runs.table, LOCK_PARTITION, TIMER, expression, values, condition=condition
        )
        return timer is not None


def _back_off(recent: Sequence[Mapping[str, Any]]) -> str:
    """Why no run starts by itself so soon after failed ones, or "". `recent`: newest first."""
    failed = list(takewhile(lambda run: run["state"] == FAILED, recent))
    if not failed:
        return ""
    ended = datetime.fromisoformat(failed[0]["times"][FAILED]).timestamp()
    wait = min(FIRST_WAIT * 2 ** (len(failed) - 1), MAX_WAIT)
    if abs(time.time() - ended) >= wait:  # It lies far ahead if the clock was set back.
        return ""
    until = ended + wait
    which = "last training" if len(failed) == 1 else f"last {len(failed)} trainings"
    return (
        f"The {which} failed. The next starts by itself after "
        f"{datetime.fromtimestamp(until, UTC):%H:%M} UTC; you can start one at any time."
    )


def _left_out(survey: Survey) -> str:
    """A sentence about images that label checks rejected, after a space, or ""."""
    count = len(survey.left_out)
    if not count:
        return ""
    images = "1 image is" if count == 1 else f"{count:,} images are"
    return (
        f" {images} left out, because the live model contradicts their labels. Move them to the "
        "right folder, confirm their labels, or start a training that skips the label check."
    )


def _capital(news: News) -> str:
    """The news as the beginning of a sentence."""
    text = str(news)
    return text[0].upper() + text[1:]
