"""The review queue: images whose labels would teach the model most, and what was decided of them.

There are three sources. `batch`: results of the newest batches in which the model is unsure, while
their images are still in the inbox. `upload`: training images about which the model is unsure, or
whose labels it contradicts, unless an admin has decided them. `prediction`: unsure predictions that
were kept for review.

Building the queue is bounded: the NEWEST_BATCHES newest batches of the inbox with at most MAX_ROWS
rows, and the MAX_PREDICTIONS newest predictions. An item is checked against its object only when
it is on a page, so the queue never shows an image that is gone or was decided.
"""

import math
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Literal
from unicodedata import normalize
from urllib.parse import unquote

from clickbait import LABELS, aws
from clickbait.errors import BadRequest, Conflict, NotFound
from clickbait.inference import images
from clickbait.inference.images import FORMATS, MEDIA_TYPES
from clickbait.keys import (
    BATCH_PARTITION,
    DECIDED,
    DECISION_PARTITION,
    INBOX,
    REVIEW,
    TRAIN,
    batch_and_name,
    id_of,
    is_batch_id,
    is_decided,
    is_litter,
    label_of,
    plain_name,
)
from clickbait.settings import MAX_IMAGE_BYTES
from clickbait.store import answers
from clickbait.store.batches import Batches
from clickbait.store.changes import Changes
from clickbait.store.drop_folder import PARTITIONS
from clickbait.store.feedback import Feedback
from clickbait.store.labelled import Live, name_of
from clickbait.store.presigned import read_within
from clickbait.store.results import Row
from clickbait.store.rows import Rows

Source = Literal["batch", "upload", "prediction"]
Order = Literal["unsure", "surprising"]

NEWEST_BATCHES = 5
"""Batches whose rows are read, among those whose images are still in the inbox."""
MAX_FOLDERS = 1_000
"""Folders of the inbox among which the newest batches are found: one call to S3."""
MAX_ROWS = 5_000
"""The most rows of batches that are read: 1.2 MB, a third of a second."""
MAX_PREDICTIONS = 200
"""The most kept predictions that are read. Each takes a call to S3."""
MAX_CHECKED = 300
"""The most items that are checked for one page. Then the page ends, with a cursor to go on."""

READERS = 16
"""Objects read at a time."""

DECISION_DAYS = 40
"""How long a decision is kept: longer than S3 keeps the images of the inbox and of predictions."""

PLACE = re.compile(r"([01]):(\d\.\d{9}):(.+)", re.DOTALL)
"""Where a page ends: the rank of the reason, the score, and the key."""


@dataclass(frozen=True, slots=True)
class Item:
    """An image in the queue, or one that could be.

    key, etag: its object. name: as a person named it. probability: of clickbait, by `version` at
    `threshold`. batch: for the source `batch`.
    """

    key: str
    etag: str
    source: Source
    name: str
    label: str | None
    probability: float
    threshold: float
    uncertain: bool
    version: str
    at: str
    batch: str | None = None
    other_key: str = ""
    """The key that the object may have instead, if a file was dropped under its own name."""

    @property
    def why(self) -> Order | None:
        """The reason why it is in the queue; None if there is none."""
        if self.uncertain:
            return "unsure"
        called = self.probability >= self.threshold
        if self.label is not None and called != (self.label == LABELS[1]):
            return "surprising"
        return None

    def place(self, order: Order) -> tuple[int, float, str]:
        """Sorts the queue: the reason that `order` puts first, then the most telling item."""
        if self.why == "unsure":
            score = abs(self.probability - self.threshold)
        else:
            score = 1 - abs(self.probability - (self.label == LABELS[1]))
        return int(self.why != order), round(score, 9), self.key

    def as_dict(self) -> dict[str, Any]:
        """The item as the API returns it, without its link."""
        return {
            "id": id_of(self.key),
            "key": self.key,
            "source": self.source,
            "name": self.name,
            "label": self.label,
            "probability": self.probability,
            "uncertain": self.uncertain,
            "why": self.why,
            "model_version": self.version,
            "batch": self.batch,
            "at": self.at,
        }


def source_of(key: str) -> Source:
    """The source of an object that may be reviewed; raises NotFound for any other key."""
    if batch_and_name(key):
        return "batch"
    if label_of(key) and not is_litter(key):
        return "upload"
    if re.fullmatch(rf"{REVIEW}\d{{4}}-\d\d-\d\d/[0-9a-f]{{64}}", key):
        return "prediction"
    raise unknown(key)


class Review:
    """The review queue of a data bucket, as the live model sees it."""

    def __init__(self, bucket: str, table: str, models_bucket: str, live: Live) -> None:
        self.bucket = bucket
        self.table = table
        self.models_bucket = models_bucket
        self.live = live

    # --- the queue -------------------------------------------------------------------------------

    def page(
        self, limit: int, after: str | None, sources: frozenset[Source], order: Order
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Up to `limit` items after the place `after`, the most telling first, and the place of the
        last one if more may follow. Raises BadRequest if `after` is no place."""
        start = _place(after) if after is not None else None
        decided = self._decisions()
        queue = sorted(
            (item for item in self._collect(sources) if item.why and not _is_in(item, decided)),
            key=lambda item: item.place(order),
        )
        rest = [item for item in queue if start is None or item.place(order) > start]
        found: list[Item] = []
        checked = 0
        for begin in range(0, min(len(rest), MAX_CHECKED), limit):
            some = rest[begin : begin + limit]
            for present in self._present(some):
                checked += 1
                if present is not None and not _is_in(present, decided):
                    found.append(present)
                if len(found) == limit:
                    break
            if len(found) == limit:
                break
        following = None
        if 0 < checked < len(rest):
            rank, score, last = rest[checked - 1].place(order)
            following = f"{rank}:{score:.9f}:{last}"
        return [item.as_dict() for item in found], following

    def get(self, key: str) -> dict[str, Any]:
        """One image that may be reviewed, with its `decision`, None before there is one.

        Raises NotFound.
        """
        item = self._item(key)
        decision = self._decision(item)
        shown = decision and {name: decision[name] for name in ("label", "outcome", "at")}
        return item.as_dict() | {"decision": shown}

    def read(self, key: str) -> bytes:
        """The bytes of an image that may be reviewed; raises NotFound or PayloadTooLarge."""
        source_of(key)
        found = aws.get_object(self.bucket, key)
        if found is None:
            raise unknown(key)
        with found["Body"] as body:
            return read_within(found["ContentLength"], body, MAX_IMAGE_BYTES)

    # --- decisions -------------------------------------------------------------------------------

    def decide(self, key: str, label: str, by: str, *, admin: bool) -> dict[str, Any]:
        """Record a label. An admin's trains at once; anybody else's waits for an admin.

        Returns id, label, outcome ("training" or "waiting"), and the key of the new object.
        Deciding the same again changes nothing, and an admin's label replaces one that waits.
        Raises NotFound, or Conflict if another label was decided.
        """
        item = self._item(key)
        before = self._decision(item)
        if before is not None and admin and before["outcome"] == "waiting":
            self._withdraw(before)
        elif before is not None:
            if before["label"] != label:
                raise Conflict(
                    f"{item.name} was labelled {before['label']} at {before['at']}. "
                    "Undo that first (POST /review/{id}/undo)."
                )
            return _as_answer(key, before)
        made = self._train(item, label, by) if admin else self._correct(item, label)
        now = datetime.now(UTC)
        decision = {
            "pk": DECISION_PARTITION,
            "sk": key,
            "etag": item.etag,
            "label": label,
            "by": by,
            "at": now.isoformat(timespec="milliseconds"),
            "expires": int((now + timedelta(days=DECISION_DAYS)).timestamp()),
            **made,
        }
        aws.put_item(self.table, decision)
        return _as_answer(key, decision)

    def decisions(
        self, batch: str, limit: int, after: str | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Up to `limit` decisions about images of a batch, in the order of their keys after the key
        `after`, and the last key if more may follow."""
        folder = f"{INBOX}{batch}/"
        items, last = aws.query_page(
            self.table, DECISION_PARTITION, after=after or folder, limit=limit, consistent=True
        )
        mine = [item for item in items if item["sk"].startswith(folder)]
        found = [
            {"id": id_of(item["sk"]), **{name: item[name] for name in ("label", "outcome", "at")}}
            for item in mine
        ]
        return found, last if len(mine) == len(items) else None

    def requires_admin(self, key: str) -> bool:
        """Whether only an admin may undo the decision about an image; raises NotFound."""
        return bool(self._found(key)["outcome"] == "training")

    def undo(self, key: str, by: str) -> dict[str, Any]:
        """Take a decision back, so that the image is in the queue again; returns what it was.

        Raises NotFound if nothing was decided, or Conflict if it cannot be taken back, because an
        admin decided about the correction, or the training image has changed.
        """
        decision = self._found(key)
        if decision["outcome"] == "waiting":
            self._withdraw(decision)
        elif "change" in decision:
            Changes(self.bucket, self.table).undo(decision["change"], by)
        # Undoing a change takes its decision back too. This is for those that changed nothing.
        aws.delete_item(self.table, DECISION_PARTITION, key)
        return _as_answer(key, decision)

    def _withdraw(self, decision: Mapping[str, Any]) -> None:
        try:
            Feedback(self.bucket).reject(decision["feedback"])
        except NotFound as problem:
            raise Conflict(
                "An admin has decided about this correction, so it cannot be taken back."
            ) from problem

    def _train(self, item: Item, label: str, by: str) -> dict[str, Any]:
        """Make the image a training image of `label`, or give it that label."""
        changes = Changes(self.bucket, self.table)
        if item.source == "upload":
            changed = changes.move(item.key, by, label)
        else:
            head = aws.head_object(self.bucket, item.key) or {}
            accepted = MEDIA_TYPES.get(head.get("ContentType", ""), FORMATS["JPEG"])
            name = plain_name(item.name, accepted.extensions[0])
            changed = changes.add(item.key, item.etag, label, name, by)
        return {"outcome": "training", "target": changed.key, "change": changed.change}

    def _correct(self, item: Item, label: str) -> dict[str, Any]:
        """Keep a copy of the image as a correction, which waits for an admin."""
        data = self.read(item.key)
        facts = {
            "file_name": item.name,
            "prediction": LABELS[item.probability >= item.threshold],
            "model_version": item.version,
        }
        given = Feedback(self.bucket).put(data, images.format_of(data), label, facts)
        target = f"feedback/{given['id']}"
        return {"outcome": "waiting", "target": target, "feedback": given["id"]}

    def _decisions(self) -> dict[str, str]:
        """The ETag of each image that was decided, by key."""
        items = aws.query(self.table, DECISION_PARTITION, consistent=True)
        return {item["sk"]: item["etag"] for item in items}

    def _decision(self, item: Item) -> dict[str, Any] | None:
        found = aws.get_item(self.table, DECISION_PARTITION, item.key)
        return found if found and found["etag"] == item.etag else None

    def _found(self, key: str) -> dict[str, Any]:
        found = aws.get_item(self.table, DECISION_PARTITION, key)
        if found is None:
            raise NotFound(f"Nothing was decided about {key[:200]!r}, so there is nothing to undo.")
        return found

    # --- sources ---------------------------------------------------------------------------------

    def _collect(self, sources: frozenset[Source]) -> Iterator[Item]:
        if "batch" in sources:
            yield from islice(self._rows(), MAX_ROWS)
        if "upload" in sources and self.models_bucket:
            yield from self._uploads()
        if "prediction" in sources:
            yield from self._predictions()

    def _rows(self) -> Iterator[Item]:
        """Results of the newest batches, whether unsure or not."""
        for batch in self._newest_batches():
            for row in Rows(self.table, batch).read():
                if row.probability is not None:
                    yield self._of_row(batch, row)

    def _newest_batches(self) -> list[str]:
        listed = aws.client("s3").list_objects_v2(
            Bucket=self.bucket, Prefix=INBOX, Delimiter="/", MaxKeys=MAX_FOLDERS
        )
        names = [found["Prefix"][len(INBOX) : -1] for found in listed.get("CommonPrefixes", [])]
        names = [name for name in names if is_batch_id(name)]
        heads: dict[str, dict[str, Any]] = {}
        for begin in range(0, len(names), 100):
            heads |= aws.get_items(self.table, BATCH_PARTITION, names[begin : begin + 100])
        newest = sorted(heads, key=lambda name: str(heads[name].get("created", "")), reverse=True)
        return newest[:NEWEST_BATCHES]

    def _of_row(self, batch: str, row: Row) -> Item:
        threshold = row.threshold if row.threshold is not None else self.live.threshold
        return Item(
            key=f"{INBOX}{batch}/{row.name}",
            other_key=f"{INBOX}{batch}/{row.file}",
            etag=row.etag,
            source="batch",
            name=row.file,
            label=None,
            probability=row.probability or 0.0,
            threshold=threshold,
            uncertain=bool(row.uncertain),
            version=str(row.model_version),
            at=row.at,
            batch=batch,
        )

    def _uploads(self) -> Iterator[Item]:
        """Training images with what the model says of them, whether they still exist or not."""
        said = answers.read(self.models_bucket)
        for key, (etag, probability) in said.images.items():
            if key.startswith(TRAIN) and label_of(key):
                yield self._of_upload(key, etag, probability, said.version)

    def _of_upload(self, key: str, etag: str, probability: float, version: str) -> Item:
        return Item(
            key=key,
            etag=etag,
            source="upload",
            name=name_of(key),
            label=label_of(key),
            probability=probability,
            threshold=self.live.threshold,
            uncertain=self.live.low < probability < self.live.high,
            version=version,
            at="",
        )

    def _predictions(self) -> Iterator[Item]:
        """The newest predictions that were kept."""
        listed = aws.client("s3").list_objects_v2(Bucket=self.bucket, Prefix=REVIEW, Delimiter="/")
        days = sorted((one["Prefix"] for one in listed.get("CommonPrefixes", [])), reverse=True)
        keys = (found["Key"] for day in days for found in aws.list_objects(self.bucket, day))
        newest = list(islice(keys, MAX_PREDICTIONS))
        with ThreadPoolExecutor(READERS) as pool:
            found = list(pool.map(self._of_prediction, newest))
        yield from (item for item in found if item is not None)

    def _of_prediction(self, key: str) -> Item | None:
        head = aws.head_object(self.bucket, key)
        if head is None:
            return None
        facts = {name: unquote(text) for name, text in head["Metadata"].items()}
        try:
            probability = float(facts["probability"])
            threshold = float(facts.get("threshold", self.live.threshold))
        except (KeyError, ValueError):  # Not an object that this service kept.
            return None
        if not (math.isfinite(probability) and math.isfinite(threshold)):
            return None
        return Item(
            key=key,
            etag=head["ETag"].strip('"'),
            source="prediction",
            name=facts.get("file_name") or key.rpartition("/")[2][:12],
            label=None,
            probability=probability,
            threshold=threshold,
            uncertain=True,
            version=facts.get("model_version", ""),
            at=facts.get("at") or head["LastModified"].isoformat(),
        )

    # --- what is there now -----------------------------------------------------------------------

    def _present(self, items: list[Item]) -> list[Item | None]:
        """Each item as it is now; None if its image is gone, has changed, or was decided."""
        uploads = [item.key for item in items if item.source == "upload"]
        described = aws.get_items(self.table, PARTITIONS[TRAIN], uploads) if uploads else {}
        aws.client("s3")  # Threads may share a client, but not create one at the same time.

        def check(item: Item) -> Item | None:
            if item.source == "prediction":
                return item
            if item.source == "batch":
                return self._present_row(item)
            found = described.get(item.key, {})
            if found.get("etag") != item.etag or is_decided(item.key, found.get(DECIDED)):
                return None
            return replace(item, at=found["at"])

        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(check, items))

    def _present_row(self, item: Item) -> Item | None:
        # A file that was named when its batch was created may come from macOS, in NFD.
        others = (item.other_key, normalize("NFD", item.other_key))
        for key in dict.fromkeys((item.key, *others)):
            head = aws.head_object(self.bucket, key)
            if head is not None and head["ETag"].strip('"') == item.etag:
                return replace(item, key=key)
        return None

    def _item(self, key: str) -> Item:
        """The item of an object, whether it is in the queue or not; raises NotFound."""
        source = source_of(key)
        found: Item | None = None
        if source == "prediction":
            found = self._of_prediction(key)
        elif source == "batch":
            found = self._item_of_row(key)
        elif self.models_bucket:
            found = self._item_of_upload(key)
        if found is None:
            raise unknown(key)
        return found

    def _item_of_row(self, key: str) -> Item | None:
        batch, name = batch_and_name(key) or ("", "")
        row_name, _ = Batches(self.bucket, self.table).names_of(batch).row_of(name)
        row = Rows(self.table, batch).get(row_name)
        if row is None or row.probability is None:
            return None
        present = self._present_row(self._of_row(batch, row))
        return present if present is not None and present.key == key else None

    def _item_of_upload(self, key: str) -> Item | None:
        """A training image. If no run has judged it, its probability is unknown, and it cannot be
        reviewed."""
        decision = aws.get_item(self.table, DECISION_PARTITION, key)
        said = answers.read(self.models_bucket)
        found = aws.get_item(self.table, PARTITIONS[TRAIN], key)
        etag = found["etag"] if found else decision["etag"] if decision else None
        known = said.images.get(key, ("", math.nan))
        probability = known[1] if known[0] == etag else said.by_etag().get(etag or "", math.nan)
        if etag is None or math.isnan(probability):
            return None
        item = self._of_upload(key, etag, probability, said.version)
        return replace(item, at=found["at"]) if found else item


def _place(after: str) -> tuple[int, float, str]:
    match = PLACE.fullmatch(after)
    if match is None:
        raise BadRequest("Invalid cursor. Use `next` from the previous page.")
    return int(match[1]), float(match[2]), match[3]


def _is_in(item: Item, decided: Mapping[str, str]) -> bool:
    return decided.get(item.key) == item.etag


def _as_answer(key: str, decision: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": id_of(key),
        "label": decision["label"],
        "outcome": decision["outcome"],
        "key": decision["target"],
    }


def unknown(key: str) -> NotFound:
    """The problem of an image that cannot be reviewed."""
    return NotFound(
        f"There is no image {key[:200]!r} to review: it was deleted or replaced, or the model has "
        "not judged it. GET /review lists those that wait."
    )
