"""The app of every HTTP function: problem documents, request ids, headers, log lines, metrics and
the Lambda adapter.

`functions.predict` starts without FastAPI, so only `create_app` imports it.
"""

import gc
import json
import os
import re
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from mangum import Mangum
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clickbait import VERSION, aws, observability
from clickbait.errors import (
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NotConfigured,
    NotFound,
    Problem,
    Unavailable,
)
from clickbait.observability import count, logger
from clickbait.settings import settings
from clickbait.web.bodies import invalid_fields

if TYPE_CHECKING:
    from fastapi import FastAPI

RECENT_REQUESTS = 50
"""Requests that a process remembers for GET /debug: a screenful or two."""

MAX_REMEMBERED_PATH = 200
"""The most characters of a path that are remembered, because callers choose its length."""

CLIENT_LEFT = 499
"""The status in the log of a request whose client left while it sent. Nobody gets it; nginx uses
the same number."""

PROBLEM_TYPE = "application/problem+json"
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


def problem_document(problem: Problem, request_id: str) -> dict[str, Any]:
    """The fields of a problem document (RFC 9457)."""
    return {
        "type": f"/docs/problems/{problem.slug()}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "request_id": request_id,
    } | problem.members


def problem_response(problem: Problem, request_id: str) -> Response:
    """The problem document of `problem` with its status and headers."""
    document = json.dumps(problem_document(problem, request_id))
    return Response(document, problem.status, problem.headers, PROBLEM_TYPE)


def documented(
    model: str, *kinds: type[Problem], status: int = 200
) -> dict[int | str, dict[str, Any]]:
    """A route's `responses`: `status` with the schema named `model`, and the failures `kinds`.

    Schemas are given by name, so that only the OpenAPI document builds them, not each cold start.
    """
    responses: dict[int | str, dict[str, Any]] = {}
    responses[status] = _response("Successful Response", "application/json", model)
    every: list[type[Problem]] = [*kinds, InternalError]
    for kind in every:
        known = responses.get(kind.status, {}).get("description")
        title = f"{known}; {kind.title}" if known else kind.title
        responses[kind.status] = _response(title, PROBLEM_TYPE, "ProblemDocument")
    return responses


def json_request(model: str, required: bool = True) -> dict[str, Any]:
    """A route's `openapi_extra` for a JSON body with the schema named `model`."""
    schema = {"$ref": f"#/components/schemas/{model}"}
    body: dict[str, Any] = {"content": {"application/json": {"schema": schema}}}
    return {"requestBody": {"required": True} | body if required else body}


def _response(description: str, kind: str, model: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{model}"}
    return {"description": description, "content": {kind: {"schema": schema}}}


def request_id_of(request: Request) -> str:
    """The id of this request in the log and in its response."""
    return str(request.state.request_id)


SAFE = ((b"referrer-policy", b"no-referrer"), (b"x-content-type-options", b"nosniff"))
"""Headers of every answer. A page of the documentation names its address to no other site, and a
browser takes no answer for another type than it has."""


class RequestMiddleware:
    """The outermost ASGI layer: gives each request its id, headers, log line and metrics, and
    answers an unhandled exception with a problem document."""

    cold: ClassVar[bool] = True
    """Whether this process has yet to answer its first request."""

    recent: ClassVar[deque[dict[str, Any]]] = deque(maxlen=RECENT_REQUESTS)
    """The last requests of this process, oldest first, without bodies, queries or headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        cold, RequestMiddleware.cold = RequestMiddleware.cold, False
        request_id = _request_id(scope)
        scope.setdefault("state", {}).update(request_id=request_id, cold_start=cold)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                took = time.perf_counter() - started
                message.setdefault("headers", []).extend(
                    (
                        (b"x-request-id", request_id.encode()),
                        (b"x-processing-time", f"{took:.4f}".encode()),
                        (b"x-cold-start", b"true" if cold else b"false"),
                        *SAFE,
                    )
                )
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = status or CLIENT_LEFT
        except Exception as error:  # Nothing may pass this last layer before the server.
            logger.exception("unhandled exception", request_id=request_id, path=scope["path"])
            if not status:
                answer = problem_response(_fault(error), request_id)
                await answer(scope, receive, send_with_headers)
        finally:
            self._report(scope, request_id, status, time.perf_counter() - started, cold)

    @staticmethod
    def _report(scope: Scope, request_id: str, status: int, seconds: float, cold: bool) -> None:
        RequestMiddleware.recent.append(
            {
                "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "method": scope["method"],
                "path": scope["path"][:MAX_REMEMBERED_PATH],
                "status": status,
                "ms": round(1e3 * seconds, 1),
                "request_id": request_id,
            }
        )
        fault = status >= 500 and status != NotConfigured.status
        level = logger.error if fault else logger.debug
        level(
            "request",
            request_id=request_id,
            path=scope["path"],
            status=status,
            ms=round(1e3 * seconds, 1),
        )
        count("Requests")
        observability.count_invocation(seconds)
        if fault:
            count("Faults")
        elif status >= 400:
            count("ClientErrors")
        if cold:
            count("ColdStarts")
        observability.flush()


def _fault(error: Exception) -> Problem:
    """The problem of an exception that no route handles."""
    if aws.is_outage(error):
        return Unavailable(
            "A store of the service does not answer, or is too busy. The log has the cause under "
            "this request id. Try again."
        )
    return InternalError(
        "The service failed. The log has the cause under this request id. Try again."
    )


def _request_id(scope: Scope) -> str:
    """API Gateway's id, or the caller's if it is a plain token, or a new one."""
    context = scope.get("aws.event", {}).get("requestContext", {})
    given = context.get("requestId") or next(
        (v.decode("latin-1") for k, v in scope["headers"] if k == b"x-request-id"), ""
    )
    return given if context or REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def create_app(title: str, summary: str, lifespan: Any = None) -> "FastAPI":
    """An app of FastAPI's, completed; its parameters are checked, and it documents itself."""
    from fastapi import FastAPI
    from fastapi.exceptions import RequestValidationError

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
    app.add_exception_handler(
        RequestValidationError, _handler(lambda error: invalid_fields(error.errors()))
    )
    complete(app)
    return app


def complete(app: Starlette) -> None:
    """Add the middleware to `app`, and the handlers that answer every error with a problem
    document."""
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
            allow_methods=["DELETE", "GET", "PATCH", "POST", "PUT"],
            allow_headers=["authorization", "content-type"],
            expose_headers=exposed,
            max_age=600,
        )
    app.add_middleware(RequestMiddleware)
    app.add_exception_handler(Problem, _handler(lambda error: error))
    app.add_exception_handler(HTTPException, _handler(_from_http))


def _handler(
    to_problem: Callable[[Any], Problem],
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, error: Exception) -> Response:
        response = problem_response(to_problem(error), request_id_of(request))
        if isinstance(error, HTTPException) and error.headers:
            response.headers.update(error.headers)
        return response

    return handle


def _from_http(error: HTTPException) -> Problem:
    if error.status_code == 404:
        return NotFound("There is no such route. /docs lists all routes.")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return MethodNotAllowed(f"This route accepts {allowed}. /docs lists all routes.")
    return BadRequest(str(error.detail))


def lambda_handler(app: Starlette) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """`app` as a Lambda handler for API Gateway's payload 2.0.

    Call this after all imports. It starts garbage collection, which `functions` turned off, and
    exempts the imported modules.
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
    """Call `reset` after a SnapStart restore, whose first request then counts as a cold start."""
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != "snap-start":
        return
    from snapshot_restore_py import register_after_restore

    def restored() -> None:
        RequestMiddleware.cold = True
        reset()

    register_after_restore(restored)


def json_response(
    content: Any, headers: dict[str, str] | None = None, status: int = 200
) -> Response:
    """`content` as JSON. A declared response model would validate it again on every request."""
    return JSONResponse(content, status, headers)
