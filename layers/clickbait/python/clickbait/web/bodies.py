"""Reading request bodies within their limits: one image, a form of several, or JSON."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import unquote_to_bytes

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from clickbait.errors import BadRequest, EmptyImage, PayloadTooLarge, UnsupportedFormat
from clickbait.inference.images import MEDIA_TYPES
from clickbait.settings import settings

if TYPE_CHECKING:
    from pydantic import BaseModel

MAX_REQUEST_BYTES = 4 * 1024 * 1024
"""The most bytes of all images in one request. Lambda takes 6,291,556 bytes per request, and base64
makes a body a third longer."""

MAX_FORM_OVERHEAD = 64 * 1024
"""Bytes that a form may have besides its images: boundaries, part headers, long file names."""

MAX_IMAGES = 10
"""The most images in one request. Ten take about 0.3 s; a batch is better for more."""

MAX_PARTS = 1_000
"""The most parts of a form that are read, so that the error can give their number. A part takes a
few KB."""

MAX_FIELDS = 8
"""The most text fields besides an image. A correction has three."""

MAX_JSON = 64 * 1024
"""The most bytes of a JSON body. Most routes take a few short fields."""

MAX_NAMES = 4 * 1024 * 1024
"""The most bytes of a JSON list of file names: 10,000 names of 400 bytes. Lambda takes 6 MB."""

MAX_ERRORS = 10
"""The most wrong fields that one response names; a list of 10,000 names can have 10,000."""

MAX_DRAINED = 32 * 1024 * 1024
"""The most bytes that are read of a body over its limit. A client that is cut off while it sends
reports a broken connection, not our response. A longer body closes the connection."""

PLAIN_ENCODINGS = frozenset({"", "identity", "7bit", "8bit", "binary"})
"""Values of Content-Encoding and Content-Transfer-Encoding that leave the bytes as they are."""

QUOTED = re.compile(rb'"(?:\\.|[^"\\])*"')
STARRED_NAME = re.compile(rb";\s*filename\*\s*=\s*([\w!#$&+.^`|~-]+)'[^';\s]*'([^;\s]+)", re.I)
"""A file's name with its charset (RFC 8187), outside of QUOTED text."""

ENCODED_WORDS = re.compile(r"(\s*=\?[^?\s]+\?[BbQq]\?[^?]*\?=)+\s*")
"""A file's name in RFC 2047, as .NET and mail libraries send it."""

ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n"}
"""The only escapes that browsers write in a file's name, and their characters (WHATWG, HTML)."""

UNTYPED = frozenset({"application/octet-stream", "binary/octet-stream"})
"""Types of bytes of any kind; S3 and its tools use the second."""

FORM = "multipart/form-data"
ONE_IMAGE = "Send one image: curl -F file=@image.jpg"
SEVERAL_IMAGES = f"Send 1 to {MAX_IMAGES} images: curl -F files=@one.jpg -F files=@two.jpg"

Shape = TypeVar("Shape", bound="BaseModel")


class File(NamedTuple):
    """One file of a form. The client chose `name`: never use it in a path or key."""

    name: str
    data: bytes


class Form(NamedTuple):
    """A form with one image and text fields."""

    file: File
    fields: dict[str, str]


def content_type(request: Request) -> str:
    """The media type of the body, without parameters; empty if the request names none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def image_limit() -> int:
    """Bytes that one image may have in a request."""
    return min(MAX_REQUEST_BYTES, settings().max_upload_size)


# --- images --------------------------------------------------------------------------------------


async def image_body(request: Request) -> File:
    """The one image of a request: a form's `file`, or the whole body as `image/*`, without a name.

    Raises PayloadTooLarge, UnsupportedFormat (of the request), BadRequest or EmptyImage, all before
    any decoding.
    """
    kind = content_type(request)
    if kind == FORM:
        return (await image_form(request)).file
    if kind and not kind.startswith("image/") and kind not in UNTYPED:
        await _drain(request)
        raise UnsupportedFormat(
            f"The body is {kind}. {ONE_IMAGE}, or send the image itself "
            f"with its type ({', '.join(MEDIA_TYPES)}).",
            supported=[FORM, *MEDIA_TYPES],
        )
    return File("", await _body(request, image_limit(), _image_too_large))


async def image_form(request: Request) -> Form:
    """A form with an image as `file`, and text fields. If a field is repeated, the last one counts.

    Raises as `image_body` does.
    """
    await _require_form(request, ONE_IMAGE)
    body = await _body(request, image_limit() + MAX_FORM_OVERHEAD, _image_too_large)
    parts = await _parts(request, body, ONE_IMAGE, "file", MAX_FIELDS)
    files = sum(isinstance(part, File) for _, part in parts)
    if files > 1:
        raise BadRequest(f"Too many files: the form has {files}, and 1 is accepted. {ONE_IMAGE}")
    fields = dict(parts)
    file = fields.pop("file", None)
    if isinstance(file, str):
        raise BadRequest(
            "The part `file` has no file name (`filename=` in its Content-Disposition), so it is "
            f"not a file. {ONE_IMAGE}"
        )
    if file is None:
        names = ", ".join(fields)[:200] or "none"
        raise BadRequest(f"The form has no field `file`; its fields: {names}. {ONE_IMAGE}")
    if not file.data:
        raise EmptyImage("The file in the form has zero bytes. Send the file's content.", value=0)
    if len(file.data) > image_limit():
        raise _image_too_large(len(file.data))
    return Form(file, {name: text for name, text in fields.items() if isinstance(text, str)})


async def images_form(request: Request) -> list[File]:
    """The files in a form's field `files`, in order.

    Raises UnsupportedFormat if the body is not a form, BadRequest if it cannot be read or has no
    files or more than MAX_IMAGES, PayloadTooLarge if together they exceed MAX_REQUEST_BYTES.
    """
    await _require_form(request, SEVERAL_IMAGES)
    body = await _body(request, MAX_REQUEST_BYTES + MAX_FORM_OVERHEAD, _images_too_large)
    parts = await _parts(request, body, SEVERAL_IMAGES, "", MAX_PARTS)
    files = [part for name, part in parts if name == "files" and isinstance(part, File)]
    if len(files) < len(parts):
        others = ", ".join(sorted({name for name, _ in parts if name != "files"}))[:200]
        raise BadRequest(
            f"The form may only have files in the field `files`; it also has: "
            f"{others or '`files` without a file name'}. "
            "Send each image as a file in the field `files`, and nothing else."
        )
    if not 1 <= len(files) <= MAX_IMAGES:
        instead = "POST /batches takes more" if files else "Send each in the field `files`"
        raise BadRequest(
            f"The form has {len(files)} files; 1 to {MAX_IMAGES} are accepted. {instead}.",
            limit=MAX_IMAGES,
            value=len(files),
        )
    total = sum(len(file.data) for file in files)
    if total > MAX_REQUEST_BYTES:
        raise _images_too_large(total)
    return files


class _InMemoryParser(MultiPartParser):
    """Starlette's parser without temporary files, because the body is in memory already; and with
    the names of files as their users know them."""

    spool_max_size = MAX_REQUEST_BYTES + MAX_FORM_OVERHEAD

    def on_headers_finished(self) -> None:
        part = self._current_part
        for header, value in part.item_headers:
            if header in (b"content-encoding", b"content-transfer-encoding"):
                _require_plain(value.decode("latin-1"), "A part of the form")
        disposition = part.content_disposition or b""
        starred = _starred_name(disposition)
        if starred is not None:
            # Starlette reads no `filename*`; without a `filename`, the part would be a text field.
            part.content_disposition = disposition + b'; filename=""'
        super().on_headers_finished()
        if part.file is not None:
            part.file.filename = (
                _name_as_written(part.file.filename or "") if starred is None else starred
            )


def _starred_name(disposition: bytes) -> str | None:
    """The name in `filename*`; None if there is none, or it cannot be decoded."""
    found = STARRED_NAME.search(QUOTED.sub(b'""', disposition))
    if found is None:
        return None
    charset, text = found.groups()
    try:
        return _encodable(unquote_to_bytes(text).decode(charset.decode("ascii")))
    except (LookupError, ValueError):
        return None


def _name_as_written(name: str) -> str:
    """A file's name without the escapes that clients add in a form."""
    if ENCODED_WORDS.fullmatch(name):
        try:
            return _encodable(str(make_header(decode_header(name))))
        except (HeaderParseError, LookupError, ValueError):
            return name
    return re.sub("%22|%0D|%0A", lambda found: ESCAPES[found[0].upper()], name, flags=re.I)


def _encodable(name: str) -> str:
    """`name`; raises ValueError if it has half a character, which no response can have."""
    name.encode()
    return name


def _require_plain(encoding: str, what: str) -> None:
    """Raises BadRequest if a header says that bytes are encoded."""
    if encoding.strip().lower() not in PLAIN_ENCODINGS:
        raise BadRequest(
            f"{what} is encoded with {encoding.strip()[:40]}. Send the bytes as they are, "
            "without this encoding and its header."
        )


async def _require_form(request: Request, example: str) -> None:
    kind = content_type(request)
    if kind != FORM:
        await _drain(request)
        raise UnsupportedFormat(
            f"The body is {kind or 'of no type'}, not a form. {example}", supported=[FORM]
        )


async def _parts(
    request: Request, body: bytes, example: str, kept: str, max_fields: int
) -> list[tuple[str, File | str]]:
    """The parts of a form in order: files, and text fields.

    Left out are file inputs in which the user chose nothing, except the one named `kept`. Browsers
    send them without a file name and without content.
    """

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = _InMemoryParser(
        request.headers,
        stream(),
        max_files=MAX_PARTS,
        max_fields=max_fields,
        max_part_size=_InMemoryParser.spool_max_size,
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        reason = f"it is not valid {FORM}"
        if isinstance(error, MultiPartException):
            reason = error.message.rstrip(".")
        raise BadRequest(f"The form cannot be read: {reason}. {example}") from error
    try:
        parts = [
            (name, File(part.filename or "", part.file.read()))
            if isinstance(part, UploadFile)
            else (name, part)
            for name, part in form.multi_items()
        ]
    finally:
        await form.close()
    try:
        for name, part in parts:
            _encodable(name)
            _encodable(part.name if isinstance(part, File) else part)
    except ValueError as error:
        raise BadRequest(
            "The form cannot be read: in its charset, a name or a text is no Unicode. Send the "
            f"form in UTF-8. {example}"
        ) from error
    return [(name, part) for name, part in parts if part != File("", b"") or name == kept]


# --- JSON ----------------------------------------------------------------------------------------


def json_body(
    shape: type[Shape], limit: int = MAX_JSON, instead: str = "Send only the fields of this route."
) -> Callable[[Request], Awaitable[Shape]]:
    """A dependency that reads a body of at most `limit` bytes as `shape`; no body at all is `{}`.

    It raises PayloadTooLarge, which says what to do `instead`, or BadRequest, which names the
    wrong, missing or unknown fields. If FastAPI read the body itself, it would check the body
    before the dependencies check the caller.
    """

    def too_large(size: int) -> PayloadTooLarge:
        return _too_large(f"The body has {size:,} bytes", size, limit, instead)

    async def read(request: Request) -> Shape:
        from pydantic import ValidationError

        data = await _body(request, limit, too_large)
        try:
            return shape.model_validate_json(data.strip() or b"{}", strict=True)
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False, include_context=False)
            raise invalid_fields(errors) from error

    return read


def invalid_fields(errors: Iterable[Any]) -> BadRequest:
    """The problem of a request whose fields are wrong; `errors` are Pydantic's or FastAPI's."""
    return wrong_fields((".".join(map(str, e["loc"])) or "body", e["msg"]) for e in errors)


def wrong_fields(wrong: Iterable[tuple[str, str]]) -> BadRequest:
    """The problem of a request whose fields are `wrong`: the name of each, and a message."""
    named = list(wrong)[:MAX_ERRORS]
    detail = "; ".join(f"{field}: {message}" for field, message in named)
    return BadRequest(
        f"{detail}. /docs lists the fields of this route.",
        errors=[{"field": field, "message": message} for field, message in named],
    )


# --- limits --------------------------------------------------------------------------------------


async def _drain(request: Request) -> None:
    """Read the body of a request that is refused, so that the client reads why."""
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_DRAINED:
            return


async def _body(request: Request, most: int, too_large: Callable[[int], PayloadTooLarge]) -> bytes:
    """The whole body; raises `too_large` of its size if it has more than `most` bytes."""
    _require_plain(request.headers.get("content-encoding", ""), "The body")
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > MAX_DRAINED:
        raise too_large(int(announced))
    size, parts = 0, []
    async for part in request.stream():
        size += len(part)
        if size <= most:
            parts.append(part)
        elif size > MAX_DRAINED:
            break
    if size > most:
        raise too_large(size)
    return b"".join(parts)


def _image_too_large(size: int) -> PayloadTooLarge:
    config = settings()
    # Without a bucket there are no uploads, and they have a limit of their own.
    uploads = config.data_bucket and size <= config.max_upload_size
    instead = "Shrink it, or upload it with POST /uploads." if uploads else "Shrink it."
    return _too_large(f"The image has {size:,} bytes", size, image_limit(), instead)


def _images_too_large(size: int) -> PayloadTooLarge:
    batches = ", or send them in a batch (POST /batches)" if settings().data_bucket else ""
    instead = f"Shrink them or send fewer{batches}."
    return _too_large(f"The images have {size:,} bytes together", size, MAX_REQUEST_BYTES, instead)


def _too_large(finding: str, size: int, limit: int, instead: str) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"{finding}; the limit of a request is {limit:,}. {instead}", limit=limit, value=size
    )
