"""presigned: forms that each allow one object, and uploads that are read within their limit."""

import base64
import json
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError
from moto import mock_aws

from clickbait import aws
from clickbait.errors import BadRequest, NotConfigured, NotFound, PayloadTooLarge
from clickbait.settings import settings
from clickbait.store import presigned

BUCKET = "data"
HEX = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
def within(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Set environment variables, and drop what was created from the old ones."""

    def forget() -> None:
        settings.cache_clear()
        aws.forget_clients()

    def change(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        forget()

    change(DATA_BUCKET=BUCKET, AWS_DEFAULT_REGION="eu-central-1")
    yield change
    monkeypatch.undo()
    forget()


def policy(form: dict[str, Any]) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(base64.b64decode(form["fields"]["policy"]))
    return decoded


def test_a_form_allows_one_key_one_type_and_a_limited_size(within: Callable[..., None]) -> None:
    form = presigned.image_upload("image/png")
    folder, name = form["key"].split("/")
    assert folder == "uploads"
    assert HEX.fullmatch(name)
    assert form["fields"]["key"] == form["key"]
    assert form["fields"]["Content-Type"] == "image/png"
    conditions = policy(form)["conditions"]
    assert {"key": form["key"]} in conditions
    assert {"bucket": BUCKET} in conditions
    assert {"Content-Type": "image/png"} in conditions
    assert ["content-length-range", 1, 10_000_000] in conditions
    assert not any("starts-with" in str(condition) for condition in conditions)
    # The policy fixes every field except itself and its signature, so no other can be sent.
    held = {name for condition in conditions if isinstance(condition, dict) for name in condition}
    assert set(form["fields"]) - {"policy", "x-amz-signature"} == held - {"bucket"}


def test_max_upload_size_limits_the_form(within: Callable[..., None]) -> None:
    within(MAX_UPLOAD_SIZE="5000")
    conditions = policy(presigned.image_upload("image/jpeg"))["conditions"]
    assert ["content-length-range", 1, 5000] in conditions


def test_a_form_works_for_five_minutes(within: Callable[..., None]) -> None:
    before = datetime.now(UTC).replace(microsecond=0)  # The form has whole seconds.
    form = presigned.image_upload("image/jpeg")
    begins = datetime.fromisoformat(policy(form)["expiration"]) - timedelta(minutes=5)
    assert before <= begins <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("content_type", "extension"),
    [("image/jpeg", "jpg"), ("image/png", "png"), ("image/webp", "webp")],
)
def test_a_training_image_goes_to_its_label(
    within: Callable[..., None], content_type: str, extension: str
) -> None:
    form = presigned.training_upload("clickbait_fake", content_type)
    folder, label, name = form["key"].split("/")
    assert (folder, label) == ("train", "clickbait_fake")
    assert HEX.fullmatch(name.removesuffix(f".{extension}"))
    assert {"key": form["key"]} in policy(form)["conditions"]


def test_a_training_image_must_have_an_accepted_type(within: Callable[..., None]) -> None:
    with pytest.raises(BadRequest, match="image/gif"):
        presigned.training_upload("clickbait_fake", "image/gif")


@pytest.mark.parametrize("region", ["eu-central-1", "us-east-1"])
def test_on_aws_a_form_goes_to_the_bucket_s_own_host_in_its_region(
    within: Callable[..., None], region: str
) -> None:
    within(AWS_DEFAULT_REGION=region)
    form = presigned.image_upload("image/jpeg")
    host = f"https://{BUCKET}.s3.{region}.amazonaws.com/"
    assert form["url"] == host
    assert form["fields"]["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    assert presigned.download_url("results/a/results.csv", "a.csv", "text/csv").startswith(host)


def test_a_link_to_an_object_works_for_five_minutes(bucket: Any) -> None:
    key = "train/clickbait/a b+ü&?#%.jpg"
    bucket.put_object(Bucket=BUCKET, Key=key, Body=b"an image", ContentType="image/jpeg")
    url = presigned.view_url(key)
    assert url.startswith(f"https://{BUCKET}.s3.us-east-1.amazonaws.com/train/clickbait/")
    assert "X-Amz-Expires=300" in url and "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url
    answer = requests.get(url, timeout=5)
    assert (answer.content, answer.headers["content-type"]) == (b"an image", "image/jpeg")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_on_the_emulator_the_bucket_is_in_the_path(within: Callable[..., None], host: str) -> None:
    within(AWS_ENDPOINT_URL=f"http://{host}:4599")
    assert presigned.image_upload("image/jpeg")["url"] == f"http://{host}:4599/{BUCKET}"


def test_without_a_bucket_the_error_names_the_setting(within: Callable[..., None]) -> None:
    within(DATA_BUCKET="")
    with pytest.raises(NotConfigured, match="DATA_BUCKET"):
        presigned.image_upload("image/jpeg")
    with pytest.raises(NotConfigured, match="DATA_BUCKET"):
        presigned.view_url("train/clickbait/a.jpg")
    with pytest.raises(NotConfigured, match="DATA_BUCKET"):
        presigned.fetch_upload(f"uploads/{uuid.uuid4().hex}", 100)


@pytest.fixture
def bucket(within: Callable[..., None]) -> Iterator[Any]:
    within(AWS_DEFAULT_REGION="us-east-1")
    with mock_aws():
        aws.forget_clients()
        s3 = aws.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        yield s3
    aws.forget_clients()


def test_an_upload_is_read_back_up_to_the_limit_and_not_one_byte_more(bucket: Any) -> None:
    key = f"uploads/{uuid.uuid4().hex}"
    bucket.put_object(Bucket=BUCKET, Key=key, Body=b"x" * 1_000)
    assert presigned.fetch_upload(key, 1_000) == b"x" * 1_000
    with pytest.raises(PayloadTooLarge) as problem:
        presigned.fetch_upload(key, 999)
    assert problem.value.members == {"limit": 999, "value": 1_000}


def test_an_upload_that_has_not_arrived_is_not_found(bucket: Any) -> None:
    with pytest.raises(NotFound, match="POST /uploads"):
        presigned.fetch_upload(f"uploads/{uuid.uuid4().hex}", 1_000)


@pytest.mark.parametrize(
    "key",
    [
        "train/clickbait/a.jpg",
        "uploads/",
        "uploads/a.jpg",
        "uploads/../train/clickbait/a.jpg",
        f"uploads/{'0' * 32}/x",
        f"uploads/{'0' * 32}\n",
        f"uploads/{'0' * 31}A",
        f"inbox/{'0' * 32}",
        "",
    ],
)
def test_no_other_object_of_the_bucket_can_be_read(bucket: Any, key: str) -> None:
    if key:
        bucket.put_object(Bucket=BUCKET, Key=key, Body=b"secret")
    with pytest.raises(NotFound):
        presigned.fetch_upload(key, 1_000)


def test_another_error_of_s3_is_not_reported_as_a_missing_upload(bucket: Any) -> None:
    bucket.delete_bucket(Bucket=BUCKET)
    with pytest.raises(ClientError, match="NoSuchBucket"):
        presigned.fetch_upload(f"uploads/{uuid.uuid4().hex}", 1_000)
