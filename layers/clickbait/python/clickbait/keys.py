"""Where everything is stored: S3 prefixes, table partitions, label folders; and parsing of keys.

This module imports nothing else of this project, so every other module can use it.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any
from urllib.parse import unquote_plus

# --- the data bucket -----------------------------------------------------------------------------

TRAIN = "train/"
"""The drop folder that triggers retraining: `train/<label folder>/<name>`."""
EXAM = "exam/"
"""An admin's exam set, used for measuring only."""
INBOX = "inbox/"
"""Images to classify in bulk: `inbox/<batch>/<name>`."""
INBOX_DAYS = 7
"""Days after which S3 deletes them (`forget-inbox` in template.yaml)."""
UPLOADS = "uploads/"
"""Single images too large for the API; S3 deletes them after a day."""
FEEDBACK = "feedback/"
"""Corrections that wait for an admin."""
REVIEW = "review/"
"""Images of unsure predictions, if the owner has them kept: `review/<day>/<sha256>`."""
RESULTS = "results/"
"""Results of batches: `results/<batch>/`."""
REJECTED = "rejected/"
"""Training images that cannot be used: `rejected/<original key>`, each with its reason."""
REASON_SUFFIX = ".json"
"""Added to the key of a rejected object to name the object with its reason."""

# --- the models bucket ---------------------------------------------------------------------------

CHAMPION = "champion.json"
"""The pointer to the live version."""
VERSIONS = "versions/"
"""`versions/<version>/` holds one model version."""
PROMOTIONS = "promotions/"
"""One record for each change of the live model."""
TRAINED = "trained.json"
"""ETags of all images that a run has trained on, or has examined and left out."""
ANSWERS = "answers.json"
"""The probability that a model gives each labelled image."""
CHECKPOINTS = "checkpoints/"
"""`checkpoints/<run>/` holds the state of an interrupted training."""
FEATURES = "features/"
"""Cached backbone features."""

# --- partitions of the table ---------------------------------------------------------------------

RUN_PARTITION = "run#"
IMAGE_PARTITION = "image#"
EXAM_PARTITION = "exam#"
"""Images of `exam/`, described as those of `train/` are in IMAGE_PARTITION."""
CHANGE_PARTITION = "change#"
"""What admins changed about labelled images."""
CHANGING_PARTITION = "changing#"
"""One lease for each labelled image that is being changed."""
DECISION_PARTITION = "decision#"
"""What was decided in the review queue."""
BATCH_PARTITION = "batch#"
"""One item for each batch. The rows of a batch are in `rows_partition`."""
LOCK_PARTITION = "lock#retrain"
"""The lease of the run in progress (`lease`), and the debounce timer of uploads (`quiet`)."""


def rows_partition(batch: str) -> str:
    """The partition with the rows of one batch."""
    return f"{BATCH_PARTITION}{batch}"


def predictions_partition(day: str, shard: int) -> str:
    """The partition with one shard of the predictions of `day` (YYYY-MM-DD, UTC)."""
    return f"prediction#{day}#{shard}"


def review_partition(day: str) -> str:
    """The partition with the number of images that were kept for review on `day`."""
    return f"review#{day}"


# --- names ---------------------------------------------------------------------------------------

LABEL_OF_FOLDER = {
    "clickbait_real": "clickbait_real",
    "legitimate": "clickbait_real",
    "clickbait_fake": "clickbait_fake",
    "clickbait": "clickbait_fake",
}
"""Folder name to label."""

OTHER_FOLDER = {
    "clickbait_real": "clickbait_fake",
    "legitimate": "clickbait",
    "clickbait_fake": "clickbait_real",
    "clickbait": "legitimate",
}
"""The folder of the other label, in the same style of names."""

DECIDED = "decided"
"""S3 metadata of a labelled image, and field of its item: who decided the label, if an admin did.
Such a label counts for more than one that somebody only uploaded."""
ADMIN = "admin"
"""The value of DECIDED."""

CORRECTION = re.compile(r"feedback-\d{8}-\d{6}-[0-9a-f]{12}\.[a-z]+")
"""File names of accepted corrections. Those from before DECIDED existed are known by their names.
"""

MAX_FILE_NAME = 150
"""The most bytes of a file's name in a key. S3 accepts 1,024 for the whole key."""

UNPLAIN = re.compile(r"[^\w .()+,=@-]+")
"""Characters that a file's name loses in a key: they have a meaning in addresses, paths or shells.
"""

BATCH_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
"""Names that a folder in the inbox may have. They appear in addresses and keys unescaped."""


def is_hidden(key: str) -> bool:
    """Whether a part of the path begins with a dot. Consoles and `sync` leave such files behind."""
    return any(part.startswith(".") for part in key.split("/"))


def label_of(key: str, prefix: str = TRAIN) -> str | None:
    """The label of the image `key` below `prefix`.

    None if it is not a labelled image: a folder, a hidden file, or a file in a folder that names no
    class.
    """
    if not key.startswith(prefix) or key.endswith("/"):
        return None
    folder, *name = key.removeprefix(prefix).split("/")
    if not name or any(part.startswith(".") for part in name):
        return None
    return LABEL_OF_FOLDER.get(folder)


def batch_and_name(key: str) -> tuple[str, str] | None:
    """The batch and the file name of an object in the inbox; None if it belongs to no batch.

    Folders and hidden files belong to none, nor do files outside any folder or in one whose name
    cannot be a batch's.
    """
    if not key.startswith(INBOX) or key.endswith("/"):
        return None
    batch, _, name = key.removeprefix(INBOX).partition("/")
    if not name or not BATCH_ID.fullmatch(batch) or is_hidden(name):
        return None
    return batch, name


def keys_in_event(event: Any, bucket: str) -> list[str]:
    """The decoded object keys in an S3 notification about `bucket`.

    Empty for the test event that S3 sends first. Raises ValueError for anything else.
    """
    match event:
        case {"Service": "Amazon S3", "Event": "s3:TestEvent"}:
            return []
        case {"Records": [_, *_] as records}:
            return [_key_in_record(record, bucket) for record in records]
    raise ValueError("the message is neither an S3 notification nor one of this service")


def _key_in_record(record: Any, bucket: str) -> str:
    match record:
        case {
            "eventSource": "aws:s3",
            "s3": {"bucket": {"name": str(name)}, "object": {"key": str(key)}},
        }:
            if name != bucket:
                raise ValueError(f"the bucket {name} is not {bucket}")
            return unquote_plus(key, errors="strict")
    raise ValueError("a record is not from S3")


def plain_name(name: str, extension: str, mark: str = "") -> str:
    """A file name for a key, as near to a client's `name` as is safe.

    Only the last part of a path is kept. A name without an extension gets `extension`. `mark` is
    put before the extension, to tell two files of one name apart.
    """
    last = re.split(r"[/\\]", name)[-1]
    stem, dot, end = last.rpartition(".")
    if not dot or not re.fullmatch(r"[A-Za-z0-9]{2,5}", end):
        stem, end = last, extension
    tail = f"{mark and '-'}{mark}.{end}"
    stem = UNPLAIN.sub("_", stem).strip(" .")
    stem = stem.encode()[: MAX_FILE_NAME - len(tail)].decode(errors="ignore").rstrip(" .")
    return f"{stem or 'image'}{tail}"


def is_decided(key: str, mark: str | None) -> bool:
    """Whether an admin decided the label of the image `key`; `mark` is its DECIDED metadata."""
    return mark == ADMIN or CORRECTION.fullmatch(key.rpartition("/")[2]) is not None


def id_of(key: str) -> str:
    """The id of an object in addresses: its key in base64url (RFC 4648) without padding."""
    return urlsafe_b64encode(key.encode()).decode().rstrip("=")


def key_of_id(text: str) -> str | None:
    """The key with this id; None if `text` is the id of no key."""
    try:
        key = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        return None
    return key if id_of(key) == text else None
