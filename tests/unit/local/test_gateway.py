"""The gateway passes bytes through unchanged, queues what is too much, and refuses as AWS does."""

import asyncio
import json

import httpx
import pytest

from local import gateway as gateway_module
from local.gateway import Gateway
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
    upstream = Upstream(seconds=0.02)

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
        await first

    asyncio.run(leave())
    assert len(upstream.requests) == 1
