"""Where everything is stored: S3 prefixes, table partitions, label folders; and parsing of keys.

This module imports nothing else of this project, so every other module can use it.
"""

import re
import unicodedata
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
"""Files that cannot be used: `rejected/<original key>`, each with its reason."""
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
"""Changes that admins made to labelled images."""
CHANGING_PARTITION = "changing#"
"""One lease for each labelled image that is being changed."""
DECISION_PARTITION = "decision#"
"""Decisions in the review queue."""
BATCH_PARTITION = "batch#"
"""One item for each batch. The rows of a batch are in `rows_partition`."""
READING_PARTITION = "reading#"
"""One mark for each stored image that is being read after an attempt that failed."""
KEY_PARTITION = "key#"
"""Named keys of callers, each with the hash of its secret part."""
VERSION_PARTITION = "version#"
"""Names and stars of model versions."""
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


def usage_partition(key: str) -> str:
    """The partition with the number of images that were classified with a key, for each day."""
    return f"keyuse#{key}"


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

MAX_BATCH_ID = 900
"""The most bytes of a batch's id. The keys of its results are longer, and S3 accepts 1,024."""

LITTER = re.compile(
    r"\._.*|\.DS_Store|\.localized|\.AppleDouble|\.Spotlight-V100|\.Trashes|\.fseventsd"
    r"|\.TemporaryItems|__MACOSX|Icon\r|(eh)?thumbs(_vista)?\.db|desktop\.ini|\$RECYCLE\.BIN"
    r"|System Volume Information|\.directory|\.Trash-\d+|\.nomedia|@eaDir|\.git|\.gitkeep|\.keep",
    re.IGNORECASE | re.DOTALL,
)
"""Files and folders that macOS, Windows, Linux, cameras, network drives and Git put beside images.
`aws s3 cp --recursive` copies them too. Any other name that begins with a dot may be an image."""

UNADDRESSABLE = frozenset({".", ".."})
"""Parts of a path that browsers and clients remove from addresses."""

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Control characters and line breaks. Headers and logs cannot show them."""


def is_litter(key: str) -> bool:
    """Whether a part of the path is LITTER."""
    return any(LITTER.fullmatch(part) for part in key.split("/"))


def is_batch_id(name: str) -> bool:
    """Whether a folder of this name in the inbox is a batch."""
    return why_no_batch(name) is None


def why_no_batch(name: str) -> str | None:
    """The reason why a folder of this name is no batch, as a sentence; None if it is one."""
    if not name:
        return "The name of the folder is empty."
    if name in UNADDRESSABLE:
        return f"The folder is named {name!r}, which addresses leave out."
    if CONTROL.search(name):
        return "The name of the folder has a control character or a line break."
    size = len(name.encode(errors="replace"))
    if size > MAX_BATCH_ID:
        return f"The name of the folder has {size:,} bytes; the limit is {MAX_BATCH_ID}."
    return "The name of the folder is one that a system uses." if is_litter(name) else None


def nfc(name: str) -> str:
    """`name` in Unicode's form NFC, to compare it: macOS writes the same name in NFD."""
    return unicodedata.normalize("NFC", name)


def label_of(key: str, prefix: str = TRAIN) -> str | None:
    """The label of the image `key` below `prefix`.

    None if it is not a labelled image: a folder, litter, a file in a folder that names no class, or
    a path with `..`.
    """
    if not key.startswith(prefix) or key.endswith("/"):
        return None
    folder, *name = key.removeprefix(prefix).split("/")
    if not name or not UNADDRESSABLE.isdisjoint(name) or is_litter(key):
        return None
    return LABEL_OF_FOLDER.get(folder)


def batch_and_name(key: str) -> tuple[str, str] | None:
    """The batch and the file name of an object in the inbox; None if it belongs to no batch.

    Folders and litter belong to none, nor do files outside any folder, in one whose name cannot be
    a batch's, or with `..` in their path.
    """
    if not key.startswith(INBOX) or key.endswith("/"):
        return None
    batch, _, name = key.removeprefix(INBOX).partition("/")
    if not name or not is_batch_id(batch) or is_litter(name):
        return None
    return (batch, name) if UNADDRESSABLE.isdisjoint(name.split("/")) else None


def why_not_in_a_batch(key: str) -> str:
    """The reason why an object in the inbox that is no litter belongs to no batch."""
    batch, folder, name = key.removeprefix(INBOX).partition("/")
    instead = f"Put it into a folder of {INBOX}, such as {INBOX}monday/."
    if not folder:
        return f"The file is in no folder. {instead}"
    reason = why_no_batch(batch)
    if reason:
        return f"{reason} {instead}"
    if not name or key.endswith("/"):
        return f"The key ends in a slash, so it names a folder and no file. {instead}"
    return f"The path of the file has a part '.' or '..', which addresses leave out. {instead}"


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
