"""Past the API, between S3 and a browser: forms to upload with, each for one key, size range and
type and five minutes; what was uploaded so, read back within a limit; addresses to look at an
object or to save it.

A form promises no more than that an object may come. Whoever reads it checks it again: size, format
and pixels, as of any other image.
"""

import os
import re
import uuid
from functools import cache
from typing import Any

from clickbait import aws
from clickbait.errors import BadRequest, NotFound, Unavailable
from clickbait.inference.images import MEDIA_TYPES, check_bytes
from clickbait.keys import TRAIN, UPLOADS
from clickbait.settings import settings

MAX_FORMS = 100
"""Forms in one answer: each has 1 KB, and a browser uploads 100 images well within POST_SECONDS."""

UPLOAD_KEY = re.compile(rf"{UPLOADS}[0-9a-f]{{32}}")
"""The only keys that /predict reads: chance that nobody guesses, and nothing of another folder."""

POST_SECONDS = 300
"""How long a form works: an image of 10 MB takes as long at 0.3 Mbit/s, and a form that leaks is
soon of no use."""

VIEW_SECONDS = 300
"""How long an address to look at an object or to save it works: as long as a page of images takes
to be gone through."""


def image_upload(content_type: str) -> dict[str, Any]:
    """A form for one image to predict; its `key` is what /predict takes."""
    return post(f"{UPLOADS}{uuid.uuid4().hex}", content_type)


def training_upload(label: str, content_type: str) -> dict[str, Any]:
    """A form for one training image of `label`, a class or another name of its folder; raises
    BadRequest for a content type that is no image's."""
    accepted = MEDIA_TYPES.get(content_type)
    if accepted is None:
        raise BadRequest(f"{content_type} is not one of {', '.join(MEDIA_TYPES)}.")
    return post(f"{TRAIN}{label}/{uuid.uuid4().hex}.{accepted.extensions[0]}", content_type)


def post(key: str, content_type: str) -> dict[str, Any]:
    """A form for the object `key`: `url`, and `fields` to send before the field `file`.

    S3 refuses another key or type, no bytes, and more than MAX_UPLOAD_SIZE of them.
    """
    form = _signer().generate_presigned_post(
        bucket(),
        key,
        Fields={"Content-Type": content_type},
        Conditions=[
            {"Content-Type": content_type},
            ["content-length-range", 1, settings().max_upload_size],
        ],
        ExpiresIn=POST_SECONDS,
    )
    return {"key": key, "url": form["url"], "fields": form["fields"]}


def view_url(key: str) -> str:
    """An address at which the object `key` can be looked at, whether there is one or not; 0.2 ms
    and 1.3 KB each."""
    return _address(key)


def download_url(key: str, name: str, content_type: str) -> str:
    """An address from which the object `key` can be downloaded as the file `name`."""
    return _address(
        key,
        ResponseContentType=content_type,
        ResponseContentDisposition=f'attachment; filename="{name}"',
    )


def _address(key: str, **answered: str) -> str:
    url: str = _signer().generate_presigned_url(
        "get_object",
        Params={"Bucket": bucket(), "Key": key, **answered},
        ExpiresIn=VIEW_SECONDS,
    )
    return url


def fetch_upload(key: str, max_bytes: int) -> bytes:
    """What was uploaded as `key`, which `image_upload` gave.

    Raises NotFound where there is no such upload, PayloadTooLarge before any byte of it is read,
    Unavailable where this service has no bucket.
    """
    there_is_none = NotFound(
        f"There is no upload {key[:80]!r}: it has not arrived, or it is more than a day old and "
        "deleted. POST /uploads gives a new form."
    )
    if not UPLOAD_KEY.fullmatch(key):
        raise there_is_none
    s3 = aws.client("s3")
    try:
        found = s3.get_object(Bucket=bucket(), Key=key)
    except s3.exceptions.NoSuchKey as error:
        raise there_is_none from error
    with found["Body"] as body:  # What is not read is not fetched.
        return read_within(found["ContentLength"], body, max_bytes)


def read_within(size: int, body: Any, max_bytes: int) -> bytes:
    """The bytes of an object of `size`; raises PayloadTooLarge before any is read."""
    check_bytes(size, max_bytes)
    data: bytes = body.read()
    return data


def bucket() -> str:
    """The data bucket's name; raises Unavailable where there is none."""
    name = settings().data_bucket
    if not name:
        raise Unavailable(
            "This service runs without DATA_BUCKET: it answers predictions, and stores nothing. "
            "Send the image itself; `make up` and a deployment take uploads too."
        )
    return name


def forget_signer() -> None:
    """Have the signing client made anew: a SnapStart snapshot's has old credentials."""
    _signer.cache_clear()


@cache
def _signer() -> Any:
    """A client whose addresses work as they are: version 4, and the bucket's own host in its own
    region. A redirect from the global host would break a browser's upload.

    boto3 makes clients safely in one thread only: whoever has several signs before or behind them.

    An emulator (AWS_ENDPOINT_URL) has one host for all buckets, so there they are in the path.
    """
    import boto3
    from botocore.config import Config

    emulated = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    addressing: Any = {
        "addressing_style": "path" if emulated else "virtual",
        "us_east_1_regional_endpoint": "regional",
    }
    return boto3.client("s3", config=Config(signature_version="s3v4", s3=addressing))
