"""What every HTTP function shares: the app, problem+json, request ids, timing headers, body limits,
the Lambda adapter."""

import gc
import json
import os
import re
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from mangum import Mangum
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clickbait import observability
from clickbait.errors import (
    BadRequest,
    EmptyImage,
    InternalError,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    Problem,
    UnsupportedFormat,
)
from clickbait.observability import count, logger
from clickbait.settings import settings

VERSION = "0.1.0"

MAX_REQUEST_IMAGE = 4 * 1024 * 1024
"""Bytes of an image through the API: Lambda takes 6,291,556 bytes a request, of which base64 takes
a third."""

MAX_FORM_OVERHEAD = 64 * 1024
"""Room for what a form puts around its file: boundaries, part headers, a long file name."""

MAX_JSON = 64 * 1024
"""Bytes of a JSON body: the largest that a route takes is a handful of short fields."""

RECENT_REQUESTS = 50
"""Requests that a process remembers for /debug: a screenful or two."""

MAX_REMEMBERED_PATH = 200
"""Characters of a path that are remembered: callers choose how long it is."""

MAX_DRAINED = 32 * 1024 * 1024
"""A body over the limit is read to its end up to here before the answer: a client that is cut off
while sending shows its user a broken connection, not our sentence. Past it the connection is
closed."""

PROBLEM_TYPE = "application/problem+json"
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
FORM = "multipart/form-data"

Shape = TypeVar("Shape", bound=BaseModel)


def problem_response(problem: Problem, request_id: str) -> Response:
    """The problem document of `problem` (RFC 9457) with its status and headers."""
    document = {
        "type": f"/docs/problems/{problem.slug()}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "request_id": request_id,
    } | problem.members
    return Response(json.dumps(document), problem.status, problem.headers, PROBLEM_TYPE)


def answers(
    model: str, *kinds: type[Problem], status: int = 200
) -> dict[int | str, dict[str, Any]]:
    """A route's `responses`: `status` is the schema named `model`, its failures are `kinds`.

    By name, so that only whoever writes the OpenAPI document builds the schemas, and no process
    does at its cold start.
    """
    responses: dict[int | str, dict[str, Any]] = {}
    responses[status] = _response("Successful Response", "application/json", model)
    every: list[type[Problem]] = [*kinds, InternalError]
    for kind in every:
        known = responses.get(kind.status, {}).get("description")
        title = f"{known}; {kind.title}" if known else kind.title
        responses[kind.status] = _response(title, PROBLEM_TYPE, "ProblemDocument")
    return responses


def _response(description: str, kind: str, model: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{model}"}
    return {"description": description, "content": {kind: {"schema": schema}}}


def request_id_of(request: Request) -> str:
    """The id under which the log knows this request."""
    return str(request.state.request_id)


class Frame:
    """Outermost ASGI layer: gives each request its id, headers, log line and metrics; answers what
    nobody foresaw."""

    cold: ClassVar[bool] = True
    """Whether this process has yet to answer its first request."""

    recent: ClassVar[deque[dict[str, Any]]] = deque(maxlen=RECENT_REQUESTS)
    """The last requests of this process, oldest first; neither bodies, queries nor headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        cold, Frame.cold = Frame.cold, False
        request_id = _request_id(scope)
        scope.setdefault("state", {}).update(request_id=request_id, cold_start=cold)
        status = 0

        async def framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                took = time.perf_counter() - started
                message.setdefault("headers", []).extend(
                    (
                        (b"x-request-id", request_id.encode()),
                        (b"x-processing-time", f"{took:.4f}".encode()),
                        (b"x-cold-start", b"true" if cold else b"false"),
                    )
                )
            await send(message)

        try:
            await self.app(scope, receive, framed)
        except (
            Exception
        ):  # the last layer before the server: whatever it is, the caller gets a document and an id
            logger.exception("unforeseen", request_id=request_id, path=scope["path"])
            if not status:
                fault = InternalError(
                    "The service failed; the fault is logged under this request id. Try again."
                )
                await problem_response(fault, request_id)(scope, receive, framed)
        finally:
            self._report(scope, request_id, status, time.perf_counter() - started, cold)

    @staticmethod
    def _report(scope: Scope, request_id: str, status: int, seconds: float, cold: bool) -> None:
        Frame.recent.append(
            {
                "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "method": scope["method"],
                "path": scope["path"][:MAX_REMEMBERED_PATH],
                "status": status,
                "ms": round(1e3 * seconds, 1),
                "request_id": request_id,
            }
        )
        level = logger.error if status >= 500 else logger.debug
        level(
            "request",
            request_id=request_id,
            path=scope["path"],
            status=status,
            ms=round(1e3 * seconds, 1),
        )
        count("Requests")
        observability.count_invocation(seconds)
        if status >= 500:
            count("Faults")
        elif status >= 400:
            count("ClientErrors")
        if cold:
            count("ColdStarts")
        observability.flush()


def _request_id(scope: Scope) -> str:
    """API Gateway's id, or the caller's where it is a plain token, or a new one."""
    context = scope.get("aws.event", {}).get("requestContext", {})
    given = context.get("requestId") or next(
        (v.decode("latin-1") for k, v in scope["headers"] if k == b"x-request-id"), ""
    )
    return given if context or REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def create_app(title: str, summary: str, lifespan: Any = None) -> FastAPI:
    """An app whose every answer, good or bad, is framed as the API promises."""
    app = FastAPI(
        title=title,
        summary=summary,
        version=VERSION,
        license_info={"name": "MIT", "identifier": "MIT"},
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        separate_input_output_schemas=False,
    )
    config = settings()
    logger.setLevel("DEBUG" if config.debug_mode else config.log_level)
    if config.allowed_origins:
        from starlette.middleware.cors import CORSMiddleware

        exposed = [
            "x-request-id",
            "x-model-version",
            "x-processing-time",
            "x-cold-start",
            "retry-after",
        ]
        app.add_middleware(
            CORSMiddleware,
            allow_origins=config.allowed_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
            expose_headers=exposed,
            max_age=600,
        )
    app.add_middleware(Frame)
    app.add_exception_handler(Problem, _answer(lambda error: error))
    app.add_exception_handler(RequestValidationError, _answer(_from_validation))
    app.add_exception_handler(HTTPException, _answer(_from_http))
    return app


def _answer(
    to_problem: Callable[[Any], Problem],
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        response = problem_response(to_problem(error), request_id_of(request))
        if isinstance(error, HTTPException) and error.headers:
            response.headers.update(error.headers)
        return response

    return answer


def _from_validation(error: RequestValidationError | ValidationError) -> Problem:
    wrong = [
        {"field": ".".join(map(str, e["loc"])) or "body", "message": e["msg"]}
        for e in error.errors()
    ]
    detail = "; ".join(f"{w['field']}: {w['message']}" for w in wrong)
    return BadRequest(f"{detail}. /docs says what this route takes.", errors=wrong)


def _from_http(error: HTTPException) -> Problem:
    if error.status_code == 404:
        return NotFound("There is no such route; /docs lists them.")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return MethodNotAllowed(f"This route takes {allowed}; /docs lists them.")
    return BadRequest(str(error.detail))


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
            "as image/jpeg, image/png or image/webp.",
            supported=[FORM, "image/jpeg", "image/png", "image/webp"],
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
            raise _from_validation(error) from error

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


def lambda_handler(app: FastAPI) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """`app` as a Lambda handler for API Gateway's payload 2.0; the last step of starting.

    What was imported up to here is set apart from garbage collection, which begins now.
    """
    gc.freeze()
    gc.enable()
    text = [
        PROBLEM_TYPE,
        "application/json",
        "application/javascript",
        "application/openapi+json",
        "image/svg+xml",
    ]
    return Mangum(app, lifespan="off", text_mime_types=["text/", *text])


def after_restore(reset: Callable[[], None]) -> None:
    """Have `reset` called when a SnapStart snapshot wakes up, and count its first request as a cold
    start."""
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != "snap-start":
        return
    from snapshot_restore_py import register_after_restore

    def restored() -> None:
        Frame.cold = True
        reset()

    register_after_restore(restored)


def json_response(
    content: Any, headers: dict[str, str] | None = None, status: int = 200
) -> Response:
    """`content` as JSON, without the validation that a declared response model would cost on every
    request."""
    return JSONResponse(content, status, headers)
