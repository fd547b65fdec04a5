"""drop_folder: each object is described or rejected, as it is when it is read."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from clickbait import aws
from clickbait.inference import images
from clickbait.inference.appearance import appearance
from clickbait.inference.container.core import MAX_PIXELS
from clickbait.inference.images import perceptual_hash
from clickbait.keys import LABEL_OF_FOLDER
from clickbait.store import drop_folder
from clickbait.store.drop_folder import DropFolder, rejected_key
from tests.cloud import create_buckets, create_table
from tests.samples import hostile
from tests.samples.drawn import encoded, picture

BUCKET, TABLE = "data", "table"
JPEG, OTHER = encoded(picture()), encoded(picture(seed=7))
KEY = "train/clickbait/a.jpg"


class Cloud:
    """A data bucket and a table, with the questions that the tests ask."""

    def __init__(self) -> None:
        self.s3, self.table = aws.client("s3"), aws.client("dynamodb")
        self.folder = DropFolder(BUCKET, TABLE)
        self.hooks: list[tuple[Any, str, Any]] = []

    def before(
        self, service: str, operation: str, act: Callable[..., Any], last: bool = False
    ) -> None:
        """Call `act` before each call of an operation, until the test ends."""
        events = (self.s3 if service == "s3" else self.table).meta.events
        hook = events, f"before-call.{service}.{operation}", act
        (events.register_last if last else events.register_first)(*hook[1:])
        self.hooks.append(hook)

    def put(self, key: str, body: bytes = JPEG) -> str:
        return self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)["ETag"]

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=BUCKET, Key=key)

    def objects(self) -> dict[str, bytes]:
        listed = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {
            one["Key"]: self.s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read()
            for one in listed
        }

    def items(self, partition: str = "image#") -> dict[str, dict[str, Any]]:
        found = self.table.query(
            TableName=TABLE,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": partition}},
        )["Items"]
        return {
            item["sk"]["S"]: {name: next(iter(v.values())) for name, v in item.items()}
            for item in found
        }

    def why(self, key: str) -> dict[str, Any]:
        body = self.s3.get_object(Bucket=BUCKET, Key=rejected_key(key) + ".json")["Body"]
        return json.loads(body.read())


@pytest.fixture(scope="module")
def clients() -> dict[str, Any]:
    """Created once, because creating it takes longer than a test."""
    with mock_aws():
        return {service: aws.client(service) for service in ("s3", "dynamodb")}


@pytest.fixture
def cloud(clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setattr(aws, "client", clients.__getitem__)
    with mock_aws():  # empty each time
        created = Cloud()
        create_buckets(BUCKET)
        create_table(TABLE)
        moto_lacks_the_condition_of_a_copy(created)
        yield created
        for events, name, act in created.hooks:
            events.unregister(name, act)


def moto_lacks_the_condition_of_a_copy(cloud: Cloud) -> None:
    """Refuse, as S3 does, to copy an object whose ETag is not the named one."""

    def refuse(params: dict[str, Any], **_: Any) -> Any:
        wanted = params["headers"].get("x-amz-copy-source-if-match")
        key = unquote(params["headers"]["x-amz-copy-source"].split("/", 1)[1])
        if wanted and cloud.s3.head_object(Bucket=BUCKET, Key=key)["ETag"] != wanted:
            error = {"Error": {"Code": "PreconditionFailed", "Message": "changed"}}
            meta = {"ResponseMetadata": {"HTTPStatusCode": 412}}
            return SimpleNamespace(status_code=412), error | meta
        return None

    cloud.before("s3", "CopyObject", refuse, last=True)


def once_before(cloud: Cloud, service: str, operation: str, act: Callable[[], Any]) -> None:
    """Call `act` just before the next call of `operation`, as if another process did it."""
    left = [act]

    def happen(**_: Any) -> None:
        if left:
            left.pop()()

    cloud.before(service, operation, happen)


def test_a_usable_image_stays_and_its_item_describes_it(cloud: Cloud) -> None:
    etag = cloud.put(KEY)
    assert cloud.folder.process(KEY) == "kept"
    pixels = images.model_input(images.read(JPEG))
    item = cloud.items()[KEY]
    assert cloud.table.get_item(TableName=TABLE, Key={"pk": {"S": "image#"}, "sk": {"S": KEY}})[
        "Item"
    ]["width"] == {"N": "640"}
    at = item.pop("at")
    assert at.endswith("+00:00")
    assert item == {
        "pk": "image#",
        "sk": KEY,
        "label": "clickbait_fake",
        "etag": etag.strip('"'),
        "bytes": str(len(JPEG)),
        "width": "640",
        "height": "360",
        "format": "JPEG",
        "sha256": images.sha256(JPEG),
        "phash": perceptual_hash(pixels),
        **{name: str(value) for name, value in appearance(pixels).items()},
    }
    assert cloud.objects() == {KEY: JPEG}


def test_an_image_of_the_exam_is_described_apart_from_those_of_the_training(cloud: Cloud) -> None:
    key = "exam/legitimate/a.jpg"
    cloud.put(key)
    assert cloud.folder.process(key) == "kept"
    assert cloud.items("exam#")[key]["label"] == "clickbait_real"
    assert cloud.items() == {}
    cloud.delete(key)
    assert cloud.folder.process(key) == "gone"
    assert cloud.items("exam#") == {}


def test_an_unusable_image_of_the_exam_is_rejected(cloud: Cloud) -> None:
    for key, body in (("exam/cats/a.jpg", JPEG), ("exam/clickbait/b.jpg", b"no image")):
        cloud.put(key, body)
        assert cloud.folder.process(key) == "rejected"
        assert cloud.why(key)["key"] == key
    assert cloud.items("exam#") == {}


def test_an_admins_decision_is_in_the_item(cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket=BUCKET, Key=KEY, Body=JPEG, Metadata={"decided": "admin"})
    assert cloud.folder.process(KEY) == "kept"
    assert cloud.items()[KEY]["decided"] == "admin"


def test_a_decision_while_the_image_is_described_is_in_the_item(cloud: Cloud) -> None:
    """The bytes are the same, so only the version tells that the metadata changed."""
    versioned = {"Status": "Enabled"}
    cloud.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=versioned)
    cloud.put(KEY)
    decided = {"Bucket": BUCKET, "Key": KEY, "Body": JPEG, "Metadata": {"decided": "admin"}}
    once_before(cloud, "dynamodb", "PutItem", lambda: cloud.s3.put_object(**decided))
    assert cloud.folder.process(KEY) == "kept"
    assert cloud.items()[KEY]["decided"] == "admin"


@pytest.mark.parametrize(("folder", "label"), LABEL_OF_FOLDER.items())
def test_each_folder_name_maps_to_its_label(cloud: Cloud, folder: str, label: str) -> None:
    key = f"train/{folder}/deep/er/a.png"
    cloud.put(key)
    assert cloud.folder.process(key) == "kept"
    assert cloud.items()[key]["label"] == label


@pytest.mark.parametrize(
    "key",
    [
        "train/",
        "train/clickbait/",
        "train/nonsense/",
        "train/.DS_Store",
        "train/clickbait/._a.jpg",
        "train/.git/clickbait/a.jpg",
        "train/clickbait/__MACOSX/a.jpg",
        "train/clickbait/Thumbs.db",
        "exam/legitimate/desktop.ini",
    ],
)
def test_folder_keys_and_litter_are_ignored(cloud: Cloud, key: str) -> None:
    body = b"" if key.endswith("/") else JPEG
    cloud.put(key, body)
    assert cloud.folder.process(key) == "ignored"
    assert cloud.objects() == {key: body}
    assert cloud.items() == {}


@pytest.mark.parametrize("key", ["train/clickbait/../a.jpg", "exam/./clickbait/a.jpg"])
def test_a_key_that_no_address_reaches_is_rejected_with_a_reason(cloud: Cloud, key: str) -> None:
    cloud.put(key)
    assert cloud.folder.process(key) == "rejected"
    assert cloud.objects().keys() == {rejected_key(key), rejected_key(key) + ".json"}
    assert "'..'" in cloud.why(key)["detail"]


@pytest.mark.parametrize("key", ["rejected/train/x/a.jpg", "exams/clickbait/a.jpg", "a.jpg", ""])
def test_nothing_outside_the_drop_folder_is_touched(cloud: Cloud, key: str) -> None:
    if key:
        cloud.put(key, b"no image")
    before = cloud.objects()
    assert cloud.folder.process(key) == "ignored"
    assert cloud.objects() == before


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("train/cats/a.jpg", "'cats'"),
        ("train/Clickbait/a.jpg", "'Clickbait'"),
        ("train/ clickbait/a.jpg", "' clickbait'"),
        ("train//a.jpg", "''"),
        ("train/.cache/a.jpg", "'.cache'"),
        ("train/a.jpg", "not a file in a folder"),
        ("train/clickbait", "not a file in a folder"),
        ("train/clickbait/a.jpg/", "not a file in a folder"),
    ],
)
def test_an_unknown_label_is_rejected_with_the_list_of_labels(
    cloud: Cloud, key: str, expected: str
) -> None:
    etag = cloud.put(key)
    assert cloud.folder.process(key) == "rejected"
    assert cloud.objects().keys() == {rejected_key(key), rejected_key(key) + ".json"}
    assert cloud.objects()[rejected_key(key)] == JPEG
    why = cloud.why(key)
    assert expected in why["detail"]
    for folder in LABEL_OF_FOLDER:
        assert folder in why["detail"]
    assert why | {"detail": "", "at": ""} == {
        "key": key,
        "reason": "unknown-label",
        "detail": "",
        "at": "",
        "bytes": len(JPEG),
        "etag": etag.strip('"'),
    }
    assert cloud.items() == {}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (JPEG[: len(JPEG) // 2], "broken-image"),
        (b"", "empty-image"),
        (b"<!DOCTYPE html><html></html>", "unsupported-format"),
        (hostile.animated("WEBP"), "animated-image"),
        (hostile.flat_png(9_000, 9_000), "too-many-pixels"),
    ],
)
def test_an_unreadable_image_is_rejected_with_the_reason(
    cloud: Cloud, body: bytes, reason: str
) -> None:
    cloud.put(KEY, body)
    assert cloud.folder.process(KEY) == "rejected"
    why = cloud.why(KEY)
    assert why["reason"] == reason
    assert why["detail"].endswith(".")
    if reason == "too-many-pixels":
        assert (why["limit"], why["value"]) == (MAX_PIXELS, 9_000**2)


def test_an_image_at_the_limit_of_bytes_is_kept_and_one_byte_more_is_never_read(
    cloud: Cloud, monkeypatch
) -> None:
    cloud.put(KEY, JPEG + bytes(images.MAX_IMAGE_BYTES - len(JPEG)))
    assert cloud.folder.process(KEY) == "kept"
    monkeypatch.setattr(images, "read", lambda _: pytest.fail("it was read"))
    cloud.put(KEY, JPEG + bytes(images.MAX_IMAGE_BYTES - len(JPEG) + 1))
    assert cloud.folder.process(KEY) == "rejected"
    why = cloud.why(KEY)
    assert why["reason"] == "payload-too-large"
    assert (why["limit"], why["value"]) == (images.MAX_IMAGE_BYTES, images.MAX_IMAGE_BYTES + 1)
    assert "10,000,001" in why["detail"]
    assert cloud.items() == {}


def test_an_object_too_large_for_one_copy_is_copied_in_parts(cloud: Cloud, monkeypatch) -> None:
    large = JPEG + bytes(12_000_000)
    monkeypatch.setattr(drop_folder, "LARGEST_COPY", 11_000_000)
    monkeypatch.setattr(drop_folder, "COPY_PART", 6_000_000)
    cloud.put(KEY, large)
    assert cloud.folder.process(KEY) == "rejected"
    assert cloud.objects()[rejected_key(KEY)] == large
    assert KEY not in cloud.objects()


def test_a_deleted_image_has_no_item(cloud: Cloud) -> None:
    cloud.put(KEY)
    cloud.folder.process(KEY)
    cloud.delete(KEY)
    assert cloud.folder.process(KEY) == "gone"
    assert cloud.items() == {}
    assert cloud.folder.process(KEY) == "gone"


def test_an_image_that_a_broken_one_replaced_has_no_item(cloud: Cloud) -> None:
    cloud.put(KEY)
    cloud.folder.process(KEY)
    cloud.put(KEY, b"no image")
    assert cloud.folder.process(KEY) == "rejected"
    assert cloud.items() == {}


@pytest.mark.parametrize(
    "key",
    [
        "train/clickbait/with space.jpg",
        "train/clickbait/a+b&c=d?e#f%20.jpg",
        "train/clickbait/cl\u00e9 \u4e2d\u6587 \U0001f600.jpg",
        "train/clickbait/cle\u0301.jpg",
        "train/clickbait/a..b.jpg",
        "train/clickbait/...Baby One More Time.jpg",
        "train/clickbait/.cache/.5 seconds.jpg",
        "train/clickbait//double//a.jpg",
        "train/clickbait/quote'\"<>&;$(x)`.jpg",
        "train/clickbait/" + "x" * (1_024 - len("train/clickbait/")),
        "train/clickbait/" + "\u00e9" * ((1_024 - len("train/clickbait/")) // 2),
    ],
)
@pytest.mark.parametrize("body", [JPEG, b"no image"])
def test_any_key_that_s3_accepts_is_kept_or_rejected(cloud: Cloud, key: str, body: bytes) -> None:
    cloud.put(key, body)
    outcome = cloud.folder.process(key)
    if body == JPEG:
        assert outcome == "kept"
        assert cloud.items().keys() == {key}
    else:
        assert outcome == "rejected"
        target = rejected_key(key)
        assert cloud.objects().keys() == {target, target + ".json"}
        assert len(f"{target}.json".encode()) <= 1_024
        assert cloud.why(key)["key"] == key


def test_names_that_differ_in_case_or_after_the_cut_are_different_images(
    cloud: Cloud,
) -> None:
    long = "train/clickbait/" + "x" * 1_007
    keys = ["train/clickbait/A.jpg", "train/clickbait/a.jpg", long + "1", long + "2"]
    for key in keys:
        cloud.put(key, key.encode())
        assert cloud.folder.process(key) == "rejected"
    assert {cloud.objects()[rejected_key(key)] for key in keys} == {k.encode() for k in keys}


def test_a_file_named_like_a_reason_does_not_replace_one(cloud: Cloud) -> None:
    for key in (KEY, KEY + ".json"):
        cloud.put(key, key.encode())
    for key in (KEY, KEY + ".json", KEY):
        cloud.folder.process(key)
    assert cloud.objects()[rejected_key(KEY)] == KEY.encode()
    assert cloud.objects()[rejected_key(KEY + ".json")] == f"{KEY}.json".encode()
    assert cloud.why(KEY)["key"] == KEY
    assert cloud.why(KEY + ".json")["key"] == KEY + ".json"
    assert rejected_key(KEY) == f"rejected/{KEY}"


# --- concurrent changes --------------------------------------------------------------------------


def test_an_image_replaced_while_it_is_read_is_described_as_it_is_now(cloud: Cloud) -> None:
    cloud.put(KEY)
    once_before(cloud, "dynamodb", "PutItem", lambda: cloud.put(KEY, OTHER))
    assert cloud.folder.process(KEY) == "kept"
    assert cloud.items()[KEY]["sha256"] == images.sha256(OTHER)


def test_an_image_deleted_while_it_is_read_leaves_no_item(cloud: Cloud) -> None:
    cloud.put(KEY)
    once_before(cloud, "dynamodb", "PutItem", lambda: cloud.delete(KEY))
    assert cloud.folder.process(KEY) == "gone"
    assert cloud.items() == {}


def test_an_image_that_returns_while_its_item_is_deleted_has_an_item(cloud: Cloud) -> None:
    once_before(cloud, "dynamodb", "DeleteItem", lambda: cloud.put(KEY))
    assert cloud.folder.process(KEY) == "kept"
    assert KEY in cloud.items()


@pytest.mark.parametrize("moment", ["CopyObject", "PutObject", "DeleteObject"])
def test_a_good_image_that_replaces_a_broken_one_is_not_moved(cloud: Cloud, moment: str) -> None:
    cloud.put(KEY, b"no image")
    once_before(cloud, "s3", moment, lambda: cloud.put(KEY))
    assert cloud.folder.process(KEY) == "kept"
    assert cloud.objects()[KEY] == JPEG
    assert KEY in cloud.items()
    assert cloud.objects().get(rejected_key(KEY), b"no image") == b"no image"


def test_an_image_that_another_call_moved_first_is_no_failure(cloud: Cloud) -> None:
    cloud.put(KEY, b"no image")
    other = DropFolder(BUCKET, TABLE)
    once_before(cloud, "s3", "DeleteObject", lambda: other.process(KEY))
    assert cloud.folder.process(KEY) == "gone"
    assert cloud.objects().keys() == {rejected_key(KEY), rejected_key(KEY) + ".json"}


def test_an_object_that_changes_during_every_attempt_is_left_to_the_next_call(
    cloud: Cloud, monkeypatch
) -> None:
    cloud.put(KEY)
    monkeypatch.setattr(cloud.folder, "_is_same", lambda *_: False)
    with pytest.raises(RuntimeError, match=r"train/clickbait/a\.jpg changed 5 times"):
        cloud.folder.process(KEY)


@pytest.mark.parametrize(
    "moment",
    ["s3.CopyObject", "s3.PutObject", "dynamodb.DeleteItem", "s3.DeleteObject"],
)
def test_a_crash_while_an_image_is_rejected_loses_nothing_and_the_next_call_finishes(
    cloud: Cloud, moment: str
) -> None:
    def crash() -> None:
        raise KeyboardInterrupt

    cloud.put(KEY, b"no image")
    service, operation = moment.split(".")
    once_before(cloud, service, operation, crash)
    with pytest.raises(KeyboardInterrupt):
        cloud.folder.process(KEY)
    assert cloud.objects()[KEY] == b"no image"
    assert cloud.folder.process(KEY) == "rejected"
    assert cloud.objects().keys() == {rejected_key(KEY), rejected_key(KEY) + ".json"}
    assert cloud.objects()[rejected_key(KEY)] == b"no image"


def test_errors_of_the_services_are_raised_and_reject_nothing(cloud: Cloud) -> None:
    cloud.put(KEY)
    with pytest.raises(ClientError, match="NoSuchBucket"):
        DropFolder("nowhere", TABLE).process(KEY)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        DropFolder(BUCKET, "nowhere").process(KEY)
    assert cloud.objects() == {KEY: JPEG}


def test_one_image_is_decoded_at_a_time(cloud: Cloud, monkeypatch) -> None:
    decoding, read = Lock(), images.read

    def alone(data: bytes) -> images.CheckedImage:
        assert decoding.acquire(blocking=False), "two at a time"
        try:
            time.sleep(0.02)  # long enough for the others to come
            return read(data)
        finally:
            decoding.release()

    monkeypatch.setattr(images, "read", alone)
    keys = [f"train/clickbait/{n}.jpg" for n in range(12)]
    for key in keys:
        cloud.put(key)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(cloud.folder.process, keys)) == ["kept"] * 12


def test_importing_the_module_does_not_import_boto3() -> None:
    script = "import sys, clickbait.store.drop_folder; sys.exit('boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_images_whose_events_were_lost_are_described_and_deleted_ones_forgotten(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("train/clickbait/known.jpg", "train/clickbait/gone.jpg", "exam/clickbait/old.jpg"):
        cloud.put(key)
        cloud.folder.process(key)
    cloud.delete("train/clickbait/gone.jpg")
    cloud.put("exam/clickbait/old.jpg", OTHER)
    cloud.put("exam/legitimate/new.jpg")
    cloud.put("train/cats/a.jpg")
    cloud.put("train/.DS_Store")
    assert cloud.folder.catch_up() == 4
    assert list(cloud.items()) == ["train/clickbait/known.jpg"]
    exam = cloud.items("exam#")
    assert list(exam) == ["exam/clickbait/old.jpg", "exam/legitimate/new.jpg"]
    assert exam["exam/clickbait/old.jpg"]["sha256"] == images.sha256(OTHER)
    assert cloud.why("train/cats/a.jpg")["reason"] == "unknown-label"


def test_catching_up_is_bounded_and_goes_on_with_the_next_call(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop_folder, "MAX_CAUGHT_UP", 2)
    for n in range(3):
        cloud.put(f"exam/clickbait/{n}.jpg")
    assert [cloud.folder.catch_up() for _ in range(3)] == [2, 1, 0]
