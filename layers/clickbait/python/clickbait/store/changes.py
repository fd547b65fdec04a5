"""Changes that admins make to labelled images: labels, folders, removals; recorded, and undone.

A change copies first, then records itself, and deletes last. So a process that is killed loses
nothing, and the same change requested again ends well: it finds the copy and goes on. A lease
keeps two changes of one image apart.

The bucket is versioned: what is deleted or replaced stays for a week, and undoing restores it with
its bytes and its metadata.
"""

import json
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from clickbait import aws
from clickbait.errors import BadRequest, Conflict, NotFound, Problem
from clickbait.keys import (
    ADMIN,
    CHANGE_PARTITION,
    CHANGING_PARTITION,
    DECIDED,
    DECISION_PARTITION,
    LABEL_OF_FOLDER,
    OTHER_FOLDER,
    TRAIN,
    id_of,
    is_decided,
    is_litter,
    label_of,
)
from clickbait.store.drop_folder import CHANGED, MAX_KEY_BYTES, PARTITIONS, prefix_of
from clickbait.store.labelled import PREFIXES, Folder, known_copies, name_of

Outcome = Literal["relabelled", "moved", "confirmed", "removed", "added", "unchanged"]

CHANGE = re.compile(r"\d{8}-\d{6}-\d{6}-[0-9a-f]{6}")
"""A change's id: the time to the microsecond, so that ids sort by time, and a random part."""

LEASE_SECONDS = 30
"""How long an image is held for one change. No request lives longer, so a lease that is older
belongs to a process that was killed."""

RESUMED_SECONDS = 86_400
"""For how long a change that was killed can be requested again without a second record."""

KEPT_DAYS = 365
"""How long the record of a change is kept."""

UNVERSIONED = "null"
"""S3's version id of an object from before the bucket was versioned."""

MARK = 6
"""Characters of an image's ETag in its name, if another image has its name already."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The result of a change: its id, None if nothing changed, and the key of the image, None if
    it was removed."""

    outcome: Outcome
    change: str | None
    key: str | None


class Changes:
    """Changes of the labelled images of a data bucket, recorded in the table."""

    def __init__(self, bucket: str, table: str) -> None:
        self.bucket = bucket
        self.table = table

    # --- making them -----------------------------------------------------------------------------

    def move(
        self, key: str, by: str, label: str | None = None, folder: Folder | None = None
    ) -> Changed:
        """Give an image a label, or move it to the training or exam images, or both.

        Its name stays; if another image has it there, a mark is added. A label that is given counts
        as an admin's decision, also if it is the present one. Raises NotFound, or Conflict if the
        image is being changed by somebody else.
        """
        _require(key)
        with self._lease(key) as change:
            head = aws.head_object(self.bucket, key)
            if head is None:
                return self._finished(change, key)
            target = self._free(_target(key, label, folder), key, head["ETag"])
            mark = ADMIN if label else head["Metadata"].get(DECIDED)
            if target == key and is_decided(key, head["Metadata"].get(DECIDED)) == bool(mark):
                return Changed("unchanged", None, key)
            outcome: Outcome = "confirmed" if target == key else "moved"
            if _label(target) != _label(key):
                outcome = "relabelled"
            metadata = head["Metadata"] | ({DECIDED: mark} if mark else {})
            with self._recorded(change, by, outcome, head, before=key, after=target, mark=mark):
                self._copy(key, target, head, metadata)
                self._rewrite_item(key, target, mark)
                if target != key:
                    self._delete(key, head["ETag"])
            return Changed(outcome, change, target)

    def remove(self, key: str, by: str) -> Changed:
        """Delete an image. It can be restored for a week. Raises as `move` does."""
        _require(key)
        with self._lease(key) as change:
            head = aws.head_object(self.bucket, key)
            if head is None:
                return self._finished(change, key)
            with self._recorded(change, by, "removed", head, before=key):
                self._delete(key, head["ETag"])
            return Changed("removed", change, None)

    def add(self, source: str, etag: str, label: str, name: str, by: str) -> Changed:
        """Copy any image of the bucket to the training images of `label`, as an admin's decision.

        `name` is the file's name there. Raises NotFound if the object is gone or has another ETag.
        """
        with self._lease(source) as change:
            head = aws.head_object(self.bucket, source)
            if head is None or head["ETag"].strip('"') != etag:
                raise unknown(source)
            target = self._free(f"{TRAIN}{label}/{name}", source, head["ETag"])
            with self._recorded(change, by, "added", head, after=target, mark=ADMIN, source=source):
                self._copy(source, target, head, {DECIDED: ADMIN})
            return Changed("added", change, target)

    # --- reading and undoing them ----------------------------------------------------------------

    def page(self, limit: int, after: str | None) -> tuple[list[dict[str, Any]], str | None]:
        """Up to `limit` changes before the one named `after`, the newest first, and the last id if
        more follow. Raises BadRequest if `after` is no change's id."""
        if after is not None and not CHANGE.fullmatch(after):
            raise BadRequest("Invalid cursor. Use `next` from the previous page.")
        items, following = aws.query_page(
            self.table, CHANGE_PARTITION, after=after, limit=limit, newest_first=True
        )
        return [_as_dict(item) for item in items], following

    def undo(self, change: str, by: str) -> tuple[dict[str, Any], str | None]:
        """Restore an image as it was before a change; returns the change and the image's key, None
        if it did not exist before.

        Raises NotFound if there is no such change, or Conflict if it was undone, if the image has
        changed again, or if S3 no longer has what was deleted.
        """
        found = aws.get_item(self.table, CHANGE_PARTITION, change)
        if found is None or not CHANGE.fullmatch(change):
            raise NotFound(f"There is no change {change[:80]!r}; GET /dataset/changes lists them.")
        before, after = found.get("before"), found.get("after")
        with self._lease(after or before or ""):
            found = aws.get_item(self.table, CHANGE_PARTITION, change) or found
            if "undone" in found:
                raise Conflict(f"Change {change} was undone at {found['undone']} already.")
            if before and after:
                self._move_back(found)
            elif before:
                self._restore(found)
            else:
                self._delete_added(found)
            # If it was decided in the review queue, the image returns to the queue.
            aws.delete_item(self.table, DECISION_PARTITION, found.get("source") or before or "")
            at = _now()
            self._mark_undone(change, at, by)
            return _as_dict(found | {"undone": at}), before

    def _move_back(self, found: Mapping[str, Any]) -> None:
        before, after, etag = found["before"], found["after"], found["etag"]
        head = aws.head_object(self.bucket, after)
        if head is None or head["ETag"] != etag:
            if before == after or not self._is_there(before, etag):
                raise _changed_again(after)
            return  # The change was interrupted before it copied.
        if before != after and not self._is_free(before, etag):
            raise Conflict(f"{before} is another image now. Rename or remove it first.")
        facts = json.loads(found["facts"])
        self._copy(after, before, head | {"ContentType": facts["type"]}, facts["metadata"])
        self._rewrite_item(after, before, facts["metadata"].get(DECIDED))
        if before != after:
            self._delete(after, etag)

    def _restore(self, found: Mapping[str, Any]) -> None:
        before, etag = found["before"], found["etag"]
        if self._is_there(before, etag):
            return  # The change was interrupted before it deleted.
        if not self._is_free(before, etag):
            raise Conflict(f"{before} is another image now. Rename or remove it first.")
        from botocore.exceptions import ClientError

        source = {"Bucket": self.bucket, "Key": before, "VersionId": found["version"]}
        try:
            aws.client("s3").copy_object(
                Bucket=self.bucket, Key=before, CopySource=source, TaggingDirective="REPLACE"
            )
        except ClientError as error:
            if aws.status_of(error) not in (400, 404):
                raise
            raise Conflict(
                f"{before} cannot be restored: S3 keeps what was deleted for a week. "
                "Upload it again."
            ) from error
        item = json.loads(found["facts"])["item"]
        if item is not None:
            aws.put_item(self.table, item)

    def _delete_added(self, found: Mapping[str, Any]) -> None:
        after, etag = found["after"], found["etag"]
        if aws.head_object(self.bucket, after) is None:
            return
        if not self._is_there(after, etag):
            raise _changed_again(after)
        self._delete(after, etag)

    # --- steps -----------------------------------------------------------------------------------

    @contextmanager
    def _lease(self, key: str) -> Iterator[str]:
        """Hold an image for one change, and yield the change's id.

        It is that of the change that was killed while it held the image, if there is one: what it
        began, this one ends. Raises Conflict if somebody holds the image.
        """
        now = time.time()
        moment = datetime.fromtimestamp(now, UTC)
        new = f"{moment:%Y%m%d-%H%M%S-%f}-{secrets.token_hex(3)}"
        lease = {
            "pk": CHANGING_PARTITION,
            "sk": key,
            "held_by": new,
            "held_until": now + LEASE_SECONDS,
            "expires": int(now + RESUMED_SECONDS),
        }
        # A lease that ends later than any lease of now is from before the clock was set back.
        free = "attribute_not_exists(pk) OR held_until < :now OR held_until > :latest"
        times = {":now": now, ":latest": now + 2 * LEASE_SECONDS}
        held = aws.put_item(self.table, lease | {"change": new}, free, times)
        if held is None:
            raise Conflict(
                f"{key} is being changed by another request. Try again in {LEASE_SECONDS} s."
            )
        change = held.get("change", new)
        if change != new:
            aws.put_item(self.table, lease | {"change": change})
        try:
            yield change
        except aws.faults():
            raise  # The change may be half done. The lease ends by itself, and keeps the id.
        except BaseException:
            self._release(key, new)
            raise
        self._release(key, new)

    def _release(self, key: str, holder: str) -> None:
        aws.delete_item(
            self.table,
            CHANGING_PARTITION,
            key,
            condition="held_by = :holder",
            values={":holder": holder},
        )

    def _finished(self, change: str, key: str) -> Changed:
        """The result of a change that was killed after it deleted `key`, its last step.

        Raises NotFound if there is none, so that `key` simply does not exist.
        """
        found = aws.get_item(self.table, CHANGE_PARTITION, change)
        if found is None or found.get("before") != key:
            raise unknown(key)
        return Changed(found["action"], change, found.get("after"))

    def _is_there(self, key: str, etag: str) -> bool:
        head = aws.head_object(self.bucket, key)
        return head is not None and head["ETag"] == etag

    def _is_free(self, key: str, etag: str) -> bool:
        """Whether no object, or one with the same bytes, has this key."""
        head = aws.head_object(self.bucket, key)
        return head is None or head["ETag"] == etag

    def _free(self, target: str, key: str, etag: str) -> str:
        """`target`, or the same with a mark if another image has that key.

        The mark comes from the image's bytes, so that a repeated change finds its own copy.
        """
        stem, dot, end = target.rpartition(".")
        marked = f"{stem or target}-{etag.strip(chr(34))[:MARK]}{dot}{end if dot else ''}"
        for name in (target, marked):
            if len(name.encode()) > MAX_KEY_BYTES:
                raise Conflict(f"The name of {key} is too long for its new folder. Rename it.")
            if name == key or self._is_free(name, etag):
                return name
        raise Conflict(f"{target} and {marked} are other images. Rename one of them first.")

    @contextmanager
    def _recorded(
        self,
        change: str,
        by: str,
        action: Outcome,
        head: Mapping[str, Any],
        *,
        before: str | None = None,
        after: str | None = None,
        mark: str | None = None,
        source: str | None = None,
    ) -> Iterator[None]:
        """Record a change, before it is made. If it is refused, nothing was changed and the record
        is deleted."""
        place = before and (PARTITIONS[prefix_of(before) or TRAIN], before)
        item = aws.get_item(self.table, *place) if place else None
        facts = {"metadata": head["Metadata"], "type": head["ContentType"], "item": item}
        now = datetime.now(UTC)
        aws.put_item(
            self.table,
            {
                "pk": CHANGE_PARTITION,
                "sk": change,
                "at": now.isoformat(timespec="milliseconds"),
                "by": by,
                "action": action,
                "before": before,
                "after": after,
                "source": source,
                "decided_after": mark,
                "etag": head["ETag"],
                "version": head.get("VersionId") or UNVERSIONED,
                "facts": json.dumps(facts),
                "expires": int((now + timedelta(days=KEPT_DAYS)).timestamp()),
            },
        )
        try:
            yield
        except Problem:
            aws.delete_item(self.table, CHANGE_PARTITION, change)
            raise

    def _copy(
        self, key: str, target: str, head: Mapping[str, Any], metadata: Mapping[str, str]
    ) -> None:
        """Copy an object that still has the bytes of `head`; raises NotFound or Conflict."""
        from botocore.exceptions import ClientError

        try:
            aws.client("s3").copy_object(
                Bucket=self.bucket,
                Key=target,
                CopySource={"Bucket": self.bucket, "Key": key},
                CopySourceIfMatch=head["ETag"],
                ContentType=head["ContentType"],
                Metadata=dict(metadata),
                MetadataDirective="REPLACE",
                TaggingDirective="REPLACE",  # No tags: copying them takes two permissions.
            )
        except ClientError as error:
            if aws.is_missing(error):
                raise unknown(key) from error
            if aws.status_of(error) in CHANGED:
                raise _changed_again(key) from error
            raise

    def _delete(self, key: str, etag: str) -> None:
        """Delete an object that still has this ETag, and its item. S3 keeps it as a version."""
        from botocore.exceptions import ClientError

        try:
            aws.client("s3").delete_object(Bucket=self.bucket, Key=key, IfMatch=etag)
        except ClientError as error:
            if not aws.is_missing(error) and aws.status_of(error) in CHANGED:
                raise _changed_again(key) from error
            if not aws.is_missing(error):
                raise
        aws.delete_item(self.table, PARTITIONS[prefix_of(key) or TRAIN], key)
        known_copies.rename(key, None)

    def _rewrite_item(self, key: str, target: str, mark: str | None) -> None:
        """Describe the image under its new key at once, so that the next list shows it there. The
        event of the copy describes it again."""
        item = aws.get_item(self.table, PARTITIONS[prefix_of(key) or TRAIN], key)
        head = aws.head_object(self.bucket, target)
        if item is None or head is None:
            return
        prefix = prefix_of(target) or TRAIN
        new = {
            "pk": PARTITIONS[prefix],
            "sk": target,
            "label": label_of(target, prefix),
            "etag": head["ETag"].strip('"'),
            "at": head["LastModified"].isoformat(),
            DECIDED: mark,
        }
        aws.put_item(self.table, item | new)
        known_copies.rename(key, target)

    def _mark_undone(self, change: str, at: str, by: str) -> None:
        aws.update_item(
            self.table,
            CHANGE_PARTITION,
            change,
            "SET undone = :at, undone_by = :by",
            {":at": at, ":by": by},
        )


def _require(key: str) -> None:
    """Raises NotFound if no labelled image can have this key."""
    prefix = prefix_of(key)
    if prefix is None or is_litter(key) or label_of(key, prefix) is None:
        raise unknown(key)


def _target(key: str, label: str | None, folder: Folder | None) -> str:
    """The key of the image `key` with another label or in another folder; names stay."""
    prefix, of_label, name = key.split("/", 2)
    if label is not None and LABEL_OF_FOLDER[of_label] != label:
        of_label = OTHER_FOLDER[of_label]
    return f"{PREFIXES[folder] if folder else f'{prefix}/'}{of_label}/{name}"


def _label(key: str) -> str | None:
    return label_of(key, prefix_of(key) or TRAIN)


def _as_dict(item: Mapping[str, Any]) -> dict[str, Any]:
    """A change as the API returns it."""
    before, after = item.get("before"), item.get("after")
    was = json.loads(item["facts"])["metadata"].get(DECIDED)
    return {
        "id": item["sk"],
        "at": item["at"],
        "by": item["by"],
        "action": item["action"],
        "key": before or after,
        "before": _place(before, was),
        "after": _place(after, item.get("decided_after")),
        "undone": item.get("undone"),
    }


def _place(key: str | None, mark: str | None) -> dict[str, Any] | None:
    if key is None:
        return None
    return {
        "id": id_of(key),
        "key": key,
        "name": name_of(key),
        "label": _label(key),
        "folder": key.partition("/")[0],
        "decided": is_decided(key, mark),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def unknown(key: str) -> NotFound:
    """The problem of an image that does not exist."""
    return NotFound(
        f"There is no labelled image {key[:200]!r}: it was moved, removed, or never existed. "
        "GET /dataset/images lists them, and GET /dataset/changes what happened to them."
    )


def _changed_again(key: str) -> Conflict:
    return Conflict(
        f"{key} has changed in the meantime. GET /dataset/changes lists later changes: undo those "
        "first."
    )
