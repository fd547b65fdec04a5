"""Reading request bodies within their limits: one image, a form with an image, or JSON."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from clickbait.errors import BadRequest, EmptyImage, PayloadTooLarge, Problem, UnsupportedFormat
from clickbait.inference.images import MEDIA_TYPES
from clickbait.settings import settings

MAX_REQUEST_IMAGE = 4 * 1024 * 1024
"""Bytes of an image through the API: Lambda takes 6,291,556 bytes a request, of which base64 takes
a third."""

MAX_FORM_OVERHEAD = 64 * 1024
"""Room for what a form puts around its file: boundaries, part headers, a long file name."""

MAX_JSON = 64 * 1024
"""Bytes of a JSON body: the largest that a route takes is a handful of short fields."""

MAX_DRAINED = 32 * 1024 * 1024
"""A body over the limit is read to its end up to here before the answer: a client that is cut off
while sending shows its user a broken connection, not our sentence. Past it the connection is
closed."""

FORM = "multipart/form-data"

Shape = TypeVar("Shape", bound=BaseModel)


async def image_body(request: Request) -> bytes:
    """The one image of a request: a form's `file`, or the whole body as `image/*`.

    Raises PayloadTooLarge, UnsupportedFormat (of the request), BadRequest or EmptyImage, each
    before any decoding.
    """
    kind = _content_type(request)
    if kind == FORM:
        return (await image_form(request)).file
    if kind and not kind.startswith("image/") and kind != "application/octet-stream":
        raise UnsupportedFormat(
            f"The body is {kind}. Send a form (curl -F file=@image.jpg) or the image itself "
            f"with its type: {', '.join(MEDIA_TYPES)}.",
            supported=[FORM, *MEDIA_TYPES],
        )
    limit = _image_limit()
    return await read_body(request, limit, limit)


@dataclass(frozen=True, slots=True)
class Form:
    """A form with one image: its bytes, the name that the client gave it (never to be used in a
    path or key), and the text fields beside it."""

    file: bytes
    name: str
    fields: dict[str, str]


async def image_form(request: Request) -> Form:
    """A form with an image as `file`, and text fields; raises as `image_body` does."""
    kind = _content_type(request)
    if kind != FORM:
        raise UnsupportedFormat(
            f"The body is {kind or 'of no type'}. Send a form: curl -F file=@image.jpg",
            supported=[FORM],
        )
    limit = _image_limit()
    form = await _form(request, await read_body(request, limit + MAX_FORM_OVERHEAD, limit))
    _within(limit, form.file)
    return form


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _image_limit() -> int:
    return min(MAX_REQUEST_IMAGE, settings().max_upload_size)


def json_body(shape: type[Shape]) -> Callable[[Request], Awaitable[Shape]]:
    """A dependency that reads the body as `shape`; no body at all is `{}`.

    It raises BadRequest that names each field which is wrong, missing or unknown. Not a body of
    FastAPI's: that one is read and judged before the dependencies say who may call at all.
    """

    async def read(request: Request) -> Shape:
        data, size = await _drained(request, MAX_JSON)
        if size > MAX_JSON:
            raise PayloadTooLarge(
                f"The body has {size:,} bytes; the limit for JSON is {MAX_JSON:,}.",
                limit=MAX_JSON,
                value=size,
            )
        try:
            return shape.model_validate_json(data.strip() or b"{}", strict=True)
        except ValidationError as error:
            raise invalid_fields(error) from error

    return read


async def read_body(request: Request, most: int, limit: int) -> bytes:
    """The whole body of at most `most` bytes; raises PayloadTooLarge, naming `limit`, the image's
    own."""
    data, size = await _drained(request, most)
    if size > most:
        raise _too_large(limit, size)
    return data


async def _drained(request: Request, most: int) -> tuple[bytes, int]:
    """The body, cut where it has more than `most` bytes, and how many it has or announces."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > MAX_DRAINED:
        return b"", int(announced)
    size, parts = 0, []
    async for part in request.stream():
        size += len(part)
        if size <= most:
            parts.append(part)
        elif size > MAX_DRAINED:
            break
    return b"".join(parts), size


def _within(limit: int, data: bytes) -> None:
    if len(data) > limit:
        raise _too_large(limit, len(data))


def _too_large(limit: int, value: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"The image has {value:,} bytes; through the API the limit is {limit:,}. "
        "Shrink it, or send it by way of /uploads.",
        limit=limit,
        value=value,
    )


class _InMemoryParser(MultiPartParser):
    """Starlette's parser, without its temporary files: the body is in memory and within its limit
    already."""

    spool_max_size = MAX_REQUEST_IMAGE + MAX_FORM_OVERHEAD


async def _form(request: Request, body: bytes) -> Form:
    """The form's `file` field, and its text fields; of a field given twice, the last."""

    async def stream() -> Any:
        yield body

    try:
        form = await _InMemoryParser(request.headers, stream(), max_files=1, max_fields=8).parse()
    except (MultiPartException, KeyError, ValueError, UnicodeError) as error:
        reason = str(getattr(error, "message", error)).rstrip(".")
        raise BadRequest(
            f"The form cannot be read ({reason}). Send one image: curl -F file=@image.jpg"
        ) from error
    try:
        upload = form.get("file")
        if not isinstance(upload, UploadFile):
            names = ", ".join(form) or "none"
            raise BadRequest(f"The form has no file in a field named `file`; its fields: {names}.")
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        data, name = upload.file.read(), upload.filename or ""
    finally:
        await form.close()
    if not data:
        raise EmptyImage("The file in the form has zero bytes. Send the file's content.", value=0)
    return Form(data, name, fields)


def invalid_fields(error: RequestValidationError | ValidationError) -> Problem:
    wrong = [
        {"field": ".".join(map(str, e["loc"])) or "body", "message": e["msg"]}
        for e in error.errors()
    ]
    detail = "; ".join(f"{w['field']}: {w['message']}" for w in wrong)
    return BadRequest(f"{detail}. /docs says what this route takes.", errors=wrong)
