"""Forms and links that S3 accepts, so that large files go past the API.

A form is for one key, size range and media type, and works for five minutes. It only lets an object
arrive. The code that reads the object checks it like any other image.
"""

import re
import uuid
from typing import Any
from urllib.parse import quote

from clickbait import aws
from clickbait.errors import BadRequest, NotConfigured, NotFound
from clickbait.inference.images import MEDIA_TYPES, check_bytes
from clickbait.keys import TRAIN, UNPLAIN, UPLOADS, plain_name
from clickbait.settings import settings

UPLOAD_KEY = re.compile(rf"{UPLOADS}[0-9a-f]{{32}}")
"""/predict reads only these keys: in this folder, and too random to guess."""

POST_SECONDS = 300
"""How long a form works. An image of 10 MB takes that long at 0.3 Mbit/s, and a leaked form expires
soon."""

VIEW_SECONDS = 300
"""How long a link to view or save an object works: enough to go through a page of images."""

MARK = 8
"""Characters of the random mark in the key of a named file."""

MAX_FORMS = 100
"""The most forms in one response. Each is 1 KB, and a browser can use them all in POST_SECONDS."""


def image_upload(content_type: str) -> dict[str, Any]:
    """A form for one image to predict. /predict accepts its `key`."""
    return post(f"{UPLOADS}{uuid.uuid4().hex}", content_type)


def training_upload(
    label: str, content_type: str, *, name: str = "", prefix: str = TRAIN
) -> dict[str, Any]:
    """A form for one image in the folder of `label` below `prefix`, TRAIN or EXAM.

    The key keeps the file's `name`, if there is one, and a random mark, so that no image replaces
    another. Raises BadRequest for a media type that is not accepted.
    """
    accepted = MEDIA_TYPES.get(content_type)
    if accepted is None:
        raise BadRequest(f"{content_type} is not one of {', '.join(MEDIA_TYPES)}.")
    extension, mark = accepted.extensions[0], uuid.uuid4().hex
    file = plain_name(name, extension, mark[:MARK]) if name else f"{mark}.{extension}"
    return post(f"{prefix}{label}/{file}", content_type)


def post(key: str, content_type: str) -> dict[str, Any]:
    """A form for the object `key`: its `url`, and `fields` to send before the field `file`.

    S3 refuses another key or type, an empty file, and one of more than MAX_UPLOAD_SIZE bytes.
    """
    form = aws.signing_client().generate_presigned_post(
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
    """A link to view the object `key`, whether it exists or not: 1.3 KB, signed in 0.2 ms."""
    return _signed_url(key)


def download_url(key: str, name: str, content_type: str, bucket_name: str = "") -> str:
    """A link to save the object `key` as the file `name`; it lies in the data bucket by default."""
    return _signed_url(
        key,
        bucket_name,
        ResponseContentType=content_type,
        ResponseContentDisposition=attachment(name),
    )


def attachment(name: str) -> str:
    """The Content-Disposition with which a browser saves a file as `name` (RFC 6266).

    A name with other characters than a plain one has is encoded, and readers that do not decode it
    take the plain one.
    """
    plain = UNPLAIN.sub("_", name.encode("ascii", "replace").decode())
    header = f'attachment; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"


def _signed_url(key: str, bucket_name: str = "", **response: str) -> str:
    url: str = aws.signing_client().generate_presigned_url(
        "get_object",
        Params={"Bucket": bucket_name or bucket(), "Key": key, **response},
        ExpiresIn=VIEW_SECONDS,
    )
    return url


def fetch_upload(key: str, max_bytes: int) -> bytes:
    """The bytes that were uploaded as `key`, a key of `image_upload`.

    Raises NotFound, PayloadTooLarge before any byte is read, or NotConfigured if this service has
    no bucket.
    """
    found = aws.get_object(bucket(), key) if UPLOAD_KEY.fullmatch(key) else None
    if found is None:
        raise NotFound(
            f"There is no upload {key[:80]!r}: it has not arrived, or it was deleted after a day. "
            "POST /uploads gives a new form."
        )
    with found["Body"] as body:  # Bytes that are not read are not fetched.
        return read_within(found["ContentLength"], body, max_bytes)


def read_within(size: int, body: Any, max_bytes: int) -> bytes:
    """The bytes of an object of `size`; raises PayloadTooLarge before any is read."""
    check_bytes(size, max_bytes)
    data: bytes = body.read()
    return data


def bucket() -> str:
    """The data bucket's name; raises NotConfigured if DATA_BUCKET is not set."""
    name = settings().data_bucket
    if not name:
        raise NotConfigured.without("DATA_BUCKET", "Send the image itself.")
    return name
