"""The gateway passes bytes through unchanged, queues what is too much, and refuses as AWS does."""

import asyncio
import json
import socket
import threading

import httpx
import pytest

from local import gateway as gateway_module
from local import settings as local_settings
from local.gateway import HEAD_BYTES, Gateway
from local.stack import _server
from tests.waiting import DEADLINE


class Upstream(httpx.AsyncBaseTransport):
    """The emulator, as far as a gateway sees it."""

    def __init__(self, answer=None, seconds: float = 0.0):
        self.requests: list[httpx.Request] = []
        self.answer = answer or httpx.Response(200, content=b"fine")
        self.seconds = seconds
        self.at_once = self.most_at_once = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.seconds)
            if isinstance(self.answer, Exception):
                raise self.answer
            return httpx.Response(
                self.answer.status_code,
                headers=self.answer.headers,
                stream=httpx.ByteStream(self.answer.content),
            )
        finally:
            self.at_once -= 1


def build(upstream: Upstream, workers: int = 2, **changes) -> Gateway:
    return Gateway("http://127.0.0.1:4566", "abc", workers, transport=upstream, **changes)


async def send(gateway: Gateway, method="GET", path=b"/status", query=b"", headers=(), body=(b"",)):
    """One request by hand, so that its bytes are exactly these; status, headers and body back."""
    messages = [
        {"type": "http.request", "body": part, "more_body": i < len(body) - 1}
        for i, part in enumerate(body)
    ]
    sent: list[dict] = []

    async def receive():
        if messages:
            return messages.pop(0)
        await asyncio.Event().wait()

    async def take(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "raw_path": path,
        "query_string": query,
        "headers": list(headers),
        "client": ("127.0.0.9", 1234),
        "server": ("127.0.0.1", 8000),
    }
    await gateway(scope, receive, take)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def test_path_query_and_body_reach_the_cloud_as_they_came():
    upstream = Upstream()
    body = (bytes(range(256)), b"\x00\xff")
    asyncio.run(send(build(upstream), "POST", b"/a%2Fb%20c//d", b"x=%2f&x=+", body=body))
    (request,) = upstream.requests
    target = request.extensions["target"]
    assert target == b"/_aws/execute-api/abc/$default/a%2Fb%20c//d?x=%2f&x=+"
    assert request.content == b"".join(body)


def test_the_function_learns_who_asked_and_for_which_host():
    upstream = Upstream()
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"x-forwarded-for", b"10.0.0.1"),
        (b"x-forwarded-proto", b"https"),
        (b"accept", b"a"),
        (b"accept", b"b"),
        (b"connection", b"keep-alive"),
        (b"transfer-encoding", b"chunked"),
    ]
    asyncio.run(send(build(upstream), headers=headers))
    (request,) = upstream.requests
    assert request.headers["host"] == "127.0.0.1:8000"
    assert request.headers["x-forwarded-for"] == "10.0.0.1, 127.0.0.9"
    assert request.headers["x-forwarded-proto"] == "http"
    assert request.headers["x-forwarded-port"] == "8000"
    assert request.headers.get_list("accept") == ["a", "b"]
    assert not {"connection", "user-agent", "accept-encoding"} & set(request.headers)


def test_the_answer_comes_back_as_it_was():
    content = bytes(range(256))
    answer = httpx.Response(
        418, content=content, headers={"x-model-version": "v", "date": "now", "connection": "close"}
    )
    status, headers, body = asyncio.run(send(build(Upstream(answer))))
    assert (status, body) == (418, content)
    assert headers == {b"x-model-version": b"v", b"content-length": b"256"}


def test_no_more_requests_than_workers_pass_at_a_time_and_all_are_answered():
    upstream = Upstream(seconds=0.01)

    async def many():
        gateway = build(upstream, workers=3)
        return await asyncio.gather(*(send(gateway) for _ in range(12)))

    assert {status for status, _, _ in asyncio.run(many())} == {200}
    assert upstream.most_at_once == 3


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_ten_megabytes_gets_413_and_never_reaches_the_cloud(announced, monkeypatch):
    monkeypatch.setattr(gateway_module, "BODY_BYTES", 10)
    upstream = Upstream()
    exactly = asyncio.run(send(build(upstream), "POST", body=(b"12345", b"67890")))
    assert exactly[0] == 200
    headers = [(b"content-length", b"11")] if announced else []
    status, answered, body = asyncio.run(
        send(build(upstream), "POST", headers=headers, body=(b"12345", b"678901"))
    )
    assert status == 413
    assert answered[b"content-type"] == b"application/json"
    assert json.loads(body) == {"message": "Request Entity Too Large"}
    assert len(upstream.requests) == 1


def test_a_body_too_long_to_read_to_its_end_is_refused_at_once():
    headers = [(b"content-length", str(gateway_module.DRAINED_BYTES + 1).encode())]
    assert asyncio.run(send(build(Upstream()), "POST", headers=headers, body=()))[0] == 413


def test_a_cloud_that_takes_too_long_gets_503_in_the_gateways_words():
    gateway = build(Upstream(seconds=10 * DEADLINE), answer_seconds=0.01)
    status, _, body = asyncio.run(send(gateway))
    assert (status, json.loads(body)) == (503, {"message": "Service Unavailable"})


def test_a_gateway_that_stops_keeps_nobody_waiting():
    async def stop():
        gateway = build(Upstream(seconds=10 * DEADLINE), workers=1)
        asked = [asyncio.create_task(send(gateway)) for _ in range(3)]
        await asyncio.sleep(0.01)
        gateway.give_up()
        return await asyncio.wait_for(asyncio.gather(*asked), DEADLINE)

    assert [status for status, _, _ in asyncio.run(stop())] == [503, 503, 503]


def test_a_cloud_that_is_gone_gets_a_problem_document_and_a_time_to_come_back():
    gateway = build(Upstream(httpx.ConnectError("refused")))
    status, headers, body = asyncio.run(send(gateway))
    assert status == json.loads(body)["status"] == 503
    assert headers[b"content-type"] == b"application/problem+json"
    assert int(headers[b"retry-after"]) > 0


def test_a_header_with_white_space_around_it_arrives_without():
    upstream = Upstream()
    asyncio.run(send(build(upstream), headers=[(b"authorization", b"Bearer \t")]))
    (request,) = upstream.requests
    assert request.headers["authorization"] == "Bearer"


def test_a_header_that_no_message_may_carry_is_the_callers_fault():
    gateway = build(Upstream(httpx.LocalProtocolError("Illegal header value")))
    status, _, body = asyncio.run(send(gateway))
    assert (status, json.loads(body)) == (400, {"message": "Bad Request"})


def test_a_client_that_left_while_it_waited_costs_no_work():
    upstream = Upstream(seconds=10 * DEADLINE)

    async def leave():
        gateway = build(upstream, workers=1)
        first = asyncio.create_task(send(gateway))
        await asyncio.sleep(0)
        messages = [{"type": "http.request"}, {"type": "http.disconnect"}]

        async def receive():
            return messages.pop(0)

        async def refuse(message):
            raise AssertionError("nobody is there to be answered")

        scope = {"type": "http", "method": "GET", "headers": [], "scheme": "http"}
        await gateway(scope, receive, refuse)
        first.cancel()

    asyncio.run(leave())
    assert len(upstream.requests) == 1


def test_two_hosts_are_refused_and_headers_of_the_connection_stay_here():
    upstream = Upstream()
    hosts = [(b"host", b"a"), (b"host", b"b")]
    assert asyncio.run(send(build(upstream), headers=hosts))[0] == 400
    assert upstream.requests == []
    headers = [(b"host", b"a"), (b"connection", b"close, X-Mine"), (b"x-mine", b"1")]
    asyncio.run(send(build(upstream), headers=headers))
    assert "x-mine" not in upstream.requests[0].headers


def test_a_head_that_is_too_large_is_refused():
    upstream = Upstream()
    for changes in (
        {"path": b"/" + b"a" * HEAD_BYTES},
        {"query": b"a" * (HEAD_BYTES + 1)},
        {"headers": [(b"x", b"a" * HEAD_BYTES)] * 2},
    ):
        assert asyncio.run(send(build(upstream), **changes))[0] == 431
    assert upstream.requests == []


HOST = b"Host: x\r\n"
CLOSE = HOST + b"Connection: close\r\n"
REQUESTS = {
    "two at once": (
        b"GET /a HTTP/1.1\r\n" + HOST + b"\r\nGET /b HTTP/1.1\r\n" + CLOSE + b"\r\n",
        [200, 200],
        [b"", b""],
    ),
    "one behind a body": (
        b"POST /a HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\n"
        + CLOSE
        + b"\r\n",
        [200, 200],
        [b"abc", b""],
    ),
    "a length and chunks": (
        b"POST /a HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        + b"GET /smuggled HTTP/1.1\r\n"
        + CLOSE
        + b"\r\n",
        [400],
        [],
    ),
    "two lengths": (
        b"POST /a HTTP/1.1\r\n" + CLOSE + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
        [400],
        [],
    ),
    "a negative length": (
        b"POST /a HTTP/1.1\r\n" + CLOSE + b"Content-Length: -3\r\n\r\nabc",
        [400],
        [],
    ),
    "an unknown encoding": (
        b"POST /a HTTP/1.1\r\n" + CLOSE + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        [400],
        [],
    ),
    "a space before the colon": (
        b"POST /a HTTP/1.1\r\n" + CLOSE + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        [400],
        [],
    ),
    "a chunk of endless size": (
        b"POST /a HTTP/1.1\r\n"
        + CLOSE
        + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc",
        [400],
        [],
    ),
    "a NUL in a header": (b"GET /a HTTP/1.1\r\n" + CLOSE + b"X-A: a\0b\r\n\r\n", [400], []),
    "a greeting of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40), [400], []),
    "trailers": (
        b"POST /a HTTP/1.1\r\n"
        + CLOSE
        + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-More: 1\r\n\r\n",
        [200],
        [b"abc"],
    ),
}
"""Bytes, the statuses of the answers, and the bodies that reach the cloud."""


@pytest.fixture(scope="module")
def served():
    """The address of a gateway behind the server that `make up` puts before it."""
    upstream = Upstream()
    with socket.create_server((local_settings.HOST, 0)) as listening:
        server = _server(build(upstream))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
        thread.start()
        yield listening.getsockname(), upstream
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_in_exact_bytes_are_read_in_one_way_or_refused(served, name):
    address, upstream = served
    upstream.requests.clear()
    sent, statuses, bodies = REQUESTS[name]
    with socket.create_connection(address, timeout=DEADLINE) as connection:
        connection.sendall(sent)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert [int(each[:3]) for each in answer.split(b"HTTP/1.1 ")[1:]] == statuses
    assert [request.content for request in upstream.requests] == bodies


def test_a_folded_header_is_refused_or_read_as_one_line(served):
    address, upstream = served
    upstream.requests.clear()
    with socket.create_connection(address, timeout=DEADLINE) as connection:
        connection.sendall(b"GET /a HTTP/1.1\r\n" + CLOSE + b"X-A: one\r\n X-Mine: 1\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 200"))
    assert all("x-mine" not in request.headers for request in upstream.requests)


CHUNKED = HOST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("begun", "goes_on"),
    [
        (b"GET /a HTTP/1.1\r\n" + HOST, b"X-A: " + b"a" * 8_000 + b"\r\n"),
        (b"POST /a HTTP/1.1\r\n" + CHUNKED + b"3\r\nabc\r\n0\r\n", b"X-A: b\r\n" * 1_000),
        (b"POST /a HTTP/1.1\r\n" + CHUNKED + b"3\r\nabc\r\n0\r\nX-A: ", b"a" * 8_000),
        (b"POST /a HTTP/1.1\r\n" + CHUNKED + b"3;a=", b"b" * 8_000),
        (b"POST /a HTTP/1.1\r\n" + CHUNKED, b"0" * 8_000),
    ],
    ids=["a head", "trailers", "one trailer", "the extension of a chunk", "the size of a chunk"],
)
def test_whatever_has_no_end_ends_its_connection(served, begun, goes_on):
    address, upstream = served
    upstream.requests.clear()
    with socket.create_connection(address, timeout=DEADLINE) as connection:
        connection.sendall(begun)
        with pytest.raises(ConnectionError):
            for _ in range(4_000):  # 32 MB, more than buffers of the system hold.
                connection.sendall(goes_on)
    assert upstream.requests == []


def test_trailers_are_no_headers(served):
    address, upstream = served
    upstream.requests.clear()
    sent = b"POST /a HTTP/1.1\r\n" + CLOSE + CHUNKED[len(HOST) :]
    with socket.create_connection(address, timeout=DEADLINE) as connection:
        connection.sendall(sent + b"3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\n\r\n")
        assert connection.recv(20).startswith(b"HTTP/1.1 200")
    (request,) = upstream.requests
    assert "authorization" not in request.headers


def test_a_thousand_connections_at_once_are_all_answered(served):
    address, _ = served
    connections = [socket.create_connection(address, timeout=DEADLINE) for _ in range(1_000)]
    try:
        for connection in connections:
            connection.sendall(b"GET /a HTTP/1.1\r\n" + CLOSE + b"\r\n")
        assert all(connection.recv(20).startswith(b"HTTP/1.1 200") for connection in connections)
    finally:
        for connection in connections:
            connection.close()
