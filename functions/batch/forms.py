"""Bodies that are larger than a route usually takes: a form with many images, a list of names."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from clickbait.errors import BadRequest, PayloadTooLarge, UnsupportedFormat
from clickbait.web.bodies import FORM, MAX_FORM_OVERHEAD, MAX_REQUEST_IMAGE, read_body

MAX_IMAGES = 10
"""Images in one request: ten take some 0.3 s, and from there on a batch is the better way."""

MAX_PAYLOAD = MAX_REQUEST_IMAGE
"""Bytes of all images together: it is the request that is limited, however many they are."""

MAX_PARTS = 1_000
"""Parts that a form is read to, so that the answer can say how many there were; one costs some
KB."""

MAX_NAMES = 4 * 1024 * 1024
"""Bytes of a list of names: 10,000 of 400 bytes each, and Lambda takes 6 MB."""

MAX_ERRORS = 10
"""Wrong fields that an answer names: a list of 10,000 may have as many, and they would not fit."""

Shape = TypeVar("Shape", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class File:
    """One file of a form: the name that the client gave it (never to be used in a path or key), and
    its bytes."""

    name: str
    data: bytes


class _InMemoryParser(MultiPartParser):
    """Starlette's parser, without its temporary files: the body is in memory and within its limit
    already."""

    spool_max_size = MAX_PAYLOAD + MAX_FORM_OVERHEAD


async def files_of(request: Request) -> list[File]:
    """The files of a form's field `files`, in order.

    Raises UnsupportedFormat where the body is no form, BadRequest where it cannot be read or has
    none or more than MAX_IMAGES, PayloadTooLarge where they have more than MAX_PAYLOAD bytes.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise UnsupportedFormat(
            f"The body is {kind or 'of no type'}. Send a form: "
            "curl -F files=@one.jpg -F files=@two.jpg",
            supported=[FORM],
        )
    try:
        body = await read_body(request, MAX_PAYLOAD + MAX_FORM_OVERHEAD, MAX_PAYLOAD)
    except PayloadTooLarge as problem:
        raise _too_large(problem.members["value"]) from problem
    files = await _parsed(request, body)
    if not 1 <= len(files) <= MAX_IMAGES:
        instead = "POST /batches takes 10,000" if files else "Send each in the field `files`"
        raise BadRequest(
            f"The form has {len(files)} files; 1 to {MAX_IMAGES} are taken. {instead}.",
            limit=MAX_IMAGES,
            value=len(files),
        )
    total = sum(len(file.data) for file in files)
    if total > MAX_PAYLOAD:
        raise _too_large(total)
    return files


async def _parsed(request: Request, body: bytes) -> list[File]:
    async def stream() -> Any:
        yield body

    parser = _InMemoryParser(request.headers, stream(), max_files=MAX_PARTS, max_fields=MAX_PARTS)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError, UnicodeError) as error:
        reason = str(getattr(error, "message", error)).rstrip(".")
        raise BadRequest(
            f"The form cannot be read ({reason}). Send 1 to {MAX_IMAGES} images: "
            "curl -F files=@one.jpg -F files=@two.jpg"
        ) from error
    try:
        others = sorted({name for name, _ in form.multi_items() if name != "files"})
        found = form.getlist("files")
        if others or not all(isinstance(one, UploadFile) for one in found):
            named = ", ".join(others)[:200] or "`files` without a file name"
            raise BadRequest(
                f"The form has more than files in the field `files`: {named}. "
                "Send each image as a file in the field `files`, and nothing else."
            )
        return [
            File(one.filename or "", one.file.read())
            for one in found
            if isinstance(one, UploadFile)
        ]
    finally:
        await form.close()


def _too_large(value: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"The images have {value:,} bytes together; in one request the limit is {MAX_PAYLOAD:,}. "
        "Shrink them, send fewer, or send them by way of /batches.",
        limit=MAX_PAYLOAD,
        value=value,
    )


def long_json_body(shape: type[Shape], most: int) -> Callable[[Request], Awaitable[Shape]]:
    """As `clickbait.web.bodies.json_body`, for a body of up to `most` bytes, naming the first few
    fields that are wrong."""

    async def read(request: Request) -> Shape:
        try:
            data = await read_body(request, most, most)
        except PayloadTooLarge as problem:
            value = problem.members["value"]
            raise PayloadTooLarge(
                f"The body has {value:,} bytes; the limit is {most:,}. Begin several batches.",
                limit=most,
                value=value,
            ) from problem
        try:
            return shape.model_validate_json(data.strip() or b"{}", strict=True)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_input=False, include_context=False)
            raise RequestValidationError(wrong[:MAX_ERRORS]) from error

    return read
