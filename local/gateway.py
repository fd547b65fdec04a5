"""Serves the API on this machine, as HTTP API does on AWS, in front of the emulator.

Bytes pass unchanged both ways. The emulator starts a worker whenever a request finds none free. So
only as many requests as there are workers pass at a time, and the rest wait here. What the gateway
itself refuses gets the same response as from API Gateway on AWS.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from local.settings import HOST

BODY_BYTES = 10 * 1024 * 1024
"""HTTP API's quota for a payload; it cannot be raised."""

HEAD_BYTES = 32 * 1024
"""Bytes of a request's target and headers. API Gateway takes 10,240; whatever is larger than this
was not meant for it either."""

ANSWER_SECONDS = 30.0
"""HTTP API's integration timeout; it cannot be raised."""

DRAINED_BYTES = 32 * 1024 * 1024
"""A body over the quota is read up to this size before the response. A client that is cut off while
it sends would report a broken connection instead."""

RETRY_AFTER_SECONDS = 5

HOP_BY_HOP = {
    b"connection",
    b"content-length",
    b"expect",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}
"""Headers that belong to a connection, not to the message (RFC 9110, section 7.6.1)."""

ADDED_ON_THE_WAY = {b"date", b"server"}
"""Headers of the emulator's server; the server here sends its own."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class Gateway:
    """An ASGI application that forwards to one HTTP API of the emulator."""

    def __init__(
        self,
        cloud_url: str,
        api_id: str,
        workers: int,
        transport: httpx.AsyncBaseTransport | None = None,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.cloud_url = cloud_url
        self._prefix = f"/_aws/execute-api/{api_id}/$default".encode()
        self._free = asyncio.Semaphore(workers)
        # Only the transport, because a client would add headers, cookies and proxies.
        self._transport = transport or httpx.AsyncHTTPTransport(
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=workers)
        )
        self._answer_seconds = answer_seconds
        self._deadlines: set[asyncio.Timeout] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if _head_bytes(scope) > HEAD_BYTES:
            await _refuse(send, 431, "Request Header Fields Too Large")
            return
        if sum(name == b"host" for name, _ in scope["headers"]) > 1:
            await _refuse(send, 400, "Bad Request")  # RFC 9112, section 3.2.
            return
        try:
            body = await _read(scope, receive)
        except _TooLarge:
            await _refuse(send, 413, "Request Entity Too Large")
            return
        except _Gone:
            return
        gone = asyncio.ensure_future(receive())
        try:
            async with self._free:
                if gone.done():  # The client has left.
                    return
                request = self._request(scope, body)
                async with self._deadline():
                    status, headers, content = await self._forward(request)
        except TimeoutError:
            await _refuse(send, 503, "Service Unavailable")
        except httpx.LocalProtocolError:  # A header that is invalid in HTTP/1.1.
            await _refuse(send, 400, "Bad Request")
        except httpx.TransportError as error:
            await _refuse_without_cloud(send, self.cloud_url, error)
        else:
            await _answer(send, status, headers, b"" if scope["method"] == "HEAD" else content)
        finally:
            gone.cancel()

    def give_up(self) -> None:
        """Answer 503 to every request that is under way or arrives from now on."""
        self._answer_seconds = 0
        for deadline in self._deadlines:
            deadline.reschedule(0)

    async def close(self) -> None:
        await self._transport.aclose()

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        async with asyncio.timeout(self._answer_seconds) as deadline:
            self._deadlines.add(deadline)
            try:
                yield
            finally:
                self._deadlines.discard(deadline)

    def _request(self, scope: Scope, body: bytes) -> httpx.Request:
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        client = scope["client"][0] if scope.get("client") else HOST
        headers: Headers = []
        left_out = HOP_BY_HOP | _named_in_connection(scope["headers"])
        forwarded_for = client.encode()
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                forwarded_for = value + b", " + forwarded_for
            elif name not in left_out and not name.startswith(b"x-forwarded-"):
                # Values have no surrounding white space (RFC 9110, section 5.5).
                headers.append((name, value.strip(b" \t")))
        port = scope["server"][1] if scope.get("server") else 80
        headers += [
            (b"x-forwarded-for", forwarded_for),
            (b"x-forwarded-port", str(port).encode()),
            (b"x-forwarded-proto", scope["scheme"].encode()),
        ]
        return httpx.Request(
            scope["method"],
            self.cloud_url,
            headers=headers,
            content=body,
            # The path as received: a URL object would escape it again.
            extensions={"target": self._prefix + scope["raw_path"] + query},
        )

    async def _forward(self, request: httpx.Request) -> tuple[int, Headers, bytes]:
        response = await self._transport.handle_async_request(request)
        try:
            content = b"".join([part async for part in response.aiter_raw()])
        finally:
            await response.aclose()
        left_out = HOP_BY_HOP | ADDED_ON_THE_WAY
        headers = [(n.lower(), v) for n, v in response.headers.raw if n.lower() not in left_out]
        return response.status_code, headers, content


class _TooLarge(Exception):
    """The body is larger than BODY_BYTES."""


class _Gone(Exception):
    """The client left before its request was complete."""


def _head_bytes(scope: Scope) -> int:
    target = len(scope.get("raw_path", b"")) + len(scope.get("query_string", b""))
    return target + sum(len(name) + len(value) for name, value in scope["headers"])


def _named_in_connection(headers: Headers) -> set[bytes]:
    """Headers that the client names as those of its own connection."""
    values = [value for name, value in headers if name == b"connection"]
    return {one.strip().lower() for value in values for one in value.split(b",")}


async def _read(scope: Scope, receive: Receive) -> bytes:
    """The whole body; raises _TooLarge or _Gone."""
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > DRAINED_BYTES:
        raise _TooLarge
    parts: list[bytes] = []
    size = 0
    more = True
    while more and size <= DRAINED_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        part: bytes = message.get("body", b"")
        size += len(part)
        if size <= BODY_BYTES:
            parts.append(part)
        more = message.get("more_body", False)
    if size > BODY_BYTES:
        raise _TooLarge
    return b"".join(parts)


async def _answer(send: Send, status: int, headers: Headers, content: bytes) -> None:
    headers = [*headers, (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def _refuse(send: Send, status: int, message: str) -> None:
    """Refuse as API Gateway does, with its own JSON instead of problem+json."""
    content = json.dumps({"message": message}).encode()
    await _answer(send, status, [(b"content-type", b"application/json")], content)


async def _refuse_without_cloud(send: Send, cloud_url: str, error: httpx.TransportError) -> None:
    """AWS has no such failure, so this response explains it in full."""
    problem = {
        "type": "about:blank",
        "title": "The local cloud does not answer",
        "status": 503,
        "detail": f"The emulator at {cloud_url} gave no answer ({type(error).__name__}). "
        "Its log is cloud.log in the stack's logs folder; `make up` starts it again.",
    }
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"retry-after", str(RETRY_AFTER_SECONDS).encode()),
    ]
    await _answer(send, 503, headers, json.dumps(problem).encode())
