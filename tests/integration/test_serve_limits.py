"""make serve: clients that stall, leave or send too much cost the others nothing."""

import asyncio
import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, closing

import httpx
import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from local.serve.lingering import Lingering
from local.serve.protocol import MAX_HEAD
from tests.integration.conftest import ROOT, Server
from tests.samples import bombs
from tests.waiting import DEADLINE

SAMPLE = (ROOT / "sample.jpg").read_bytes()
STALL = 5
"""Seconds. A test that sends slowly pauses for a small part of it, because machines are busy."""
WHOLE = 4 * 1024 * 1024


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server]) -> Server:
    """One worker that waits STALL seconds for what a client has begun to send."""
    return serve(CACHE_SIZE="0", STALL_SECONDS=str(STALL))


def connected(server: Server, sent: bytes = b"") -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=DEADLINE)
    connection.sendall(sent)
    return connection


def head(size: int, *more: str) -> bytes:
    lines = ["POST /predict HTTP/1.1", "host: a", "content-type: image/jpeg", *more]
    return "\r\n".join([*lines, f"content-length: {size}", "", ""]).encode()


def received(connection: socket.socket) -> tuple[int, dict[str, object]]:
    """The status and the problem document of a response, after which the server closes."""
    data = b""
    while part := connection.recv(65_536):
        data += part
    top, _, body = data.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in top
    document = json.loads(body)
    status = int(top.split()[1])
    assert document["status"] == status
    return status, document


def classify(server: Server) -> int:
    jpeg = {"content-type": "image/jpeg"}
    url = f"{server.url}/predict"
    return httpx.post(url, content=SAMPLE, headers=jpeg, timeout=DEADLINE).status_code


@pytest.mark.parametrize(
    ("sent", "part"),
    [
        (b"POST /predict HTTP/1.1\r\nhost:", "head"),
        (head(1_000) + b"\xff\xd8", "body"),
    ],
)
def test_a_request_that_stalls_is_ended_with_408(server: Server, sent: bytes, part: str) -> None:
    with closing(connected(server, sent)) as connection:
        status, document = received(connection)
    assert status == 408
    assert document["type"] == "/docs/problems/too-slow"
    assert part in str(document["detail"])


def test_a_connection_that_sends_nothing_is_closed(server: Server) -> None:
    with closing(connected(server)) as connection:
        assert connection.recv(1) == b""


def test_a_head_that_drips_is_ended_although_it_never_pauses(server: Server) -> None:
    with closing(connected(server, b"GET /status HTTP/1.1\r\n")) as connection:
        connection.settimeout(STALL / 25)
        deadline = time.monotonic() + DEADLINE
        data = b""
        while not data and time.monotonic() < deadline:
            try:
                connection.sendall(b"x-a: b\r\n")
                data = connection.recv(65_536)
            except TimeoutError:
                continue
    assert data.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_is_slow_but_moves_is_read_to_its_end(server: Server) -> None:
    with closing(connected(server, head(len(SAMPLE)))) as connection:
        part = len(SAMPLE) // 25 + 1
        for start in range(0, len(SAMPLE), part):
            # Longer than the limit in all, much shorter between two parts.
            time.sleep(STALL / 20)
            connection.sendall(SAMPLE[start : start + part])
        assert connection.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("where", ["address", "one header", "many headers"])
def test_heads_have_a_limit(server: Server, where: str) -> None:
    fill = "x" * (MAX_HEAD + 1)
    sent = {
        "address": f"GET /{fill} HTTP/1.1\r\nhost: a\r\n\r\n".encode(),
        "one header": head(0, f"x-a: {fill}"),
        "many headers": head(0, *(f"x-{n}: {'y' * 90}" for n in range(MAX_HEAD // 90))),
    }[where]
    with closing(connected(server, sent)) as connection:
        status, document = received(connection)
    assert (status, document["limit"]) == (431, MAX_HEAD)


def test_trailers_are_left_out(server: Server) -> None:
    jpeg = "POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: image/jpeg\r\n"
    chunk = f"{len(SAMPLE):x}\r\n".encode() + SAMPLE + b"\r\n0\r\ncontent-type: text/html\r\n\r\n"
    sent = f"{jpeg}transfer-encoding: chunked\r\n\r\n".encode() + chunk
    with closing(connected(server, sent)) as connection:
        assert connection.recv(12) == b"HTTP/1.1 200"


CHUNKED = b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "begun",
    [
        b"GET /status HTTP/1.1\r\nx-a: ",
        CHUNKED + b"3\r\nabc\r\n0\r\nx-a: ",
        CHUNKED + b"3;",
    ],
    ids=["a header", "a trailer", "the extension of a chunk"],
)
def test_whatever_has_no_end_is_refused_before_memory_fills(server: Server, begun: bytes) -> None:
    with closing(connected(server, begun)) as connection:
        try:
            for _ in range(1_000):
                connection.sendall(b"x" * 65_536)
        except (BrokenPipeError, ConnectionResetError):
            return
    raise AssertionError("64 MB were read")


def test_bytes_round_the_chunks_have_a_limit(server: Server) -> None:
    asked = CHUNKED.replace(b"host: a", b"host: a\r\nexpect: 100-continue")
    with closing(connected(server, asked)) as connection:
        assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"3;" + b"x" * (MAX_HEAD - 1))
        status, document = received(connection)
    assert (status, document["limit"]) == (431, MAX_HEAD)


def test_a_head_just_below_the_limit_is_read(server: Server) -> None:
    headers = {"x-a": "y" * (MAX_HEAD - 1_000)}
    assert httpx.get(f"{server.url}/status", headers=headers, timeout=DEADLINE).status_code == 200


def test_bytes_that_are_not_http_get_a_problem(server: Server) -> None:
    with closing(connected(server, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")) as connection:
        status, document = received(connection)
    assert (status, document["type"]) == (400, "/docs/problems/bad-http")


@pytest.fixture(scope="module")
def patient(serve: Callable[..., Server]) -> Server:
    """Another server, for its memory and its log; the last test stops it."""
    return serve(CACHE_SIZE="0")


def test_150_stalled_uploads_stay_below_300_mb_and_others_are_served(patient: Server) -> None:
    assert classify(patient) == 200
    part = bytes(WHOLE - 1_000)
    with ExitStack() as stack:
        for _ in range(150):
            connection = stack.enter_context(closing(connected(patient)))
            try:
                connection.sendall(head(WHOLE))
                connection.sendall(part)
            except (BrokenPipeError, ConnectionResetError):  # Its memory went to a newer one.
                continue
        assert classify(patient) == 200
        assert httpx.get(f"{patient.url}/status", timeout=DEADLINE).status_code == 200
        assert patient.peak_megabytes() < 300


def test_files_that_take_long_to_decode_stop_no_other_request(patient: Server) -> None:
    jpeg = {"content-type": "image/jpeg"}
    bomb = next(iter(bombs.refused().values()))
    with ExitStack() as stack:
        for _ in range(8):
            sent = head(len(bomb)) + bomb
            stack.enter_context(closing(connected(patient, sent)))
        assert classify(patient) == 200
    answer = httpx.post(f"{patient.url}/predict", content=bomb, headers=jpeg, timeout=DEADLINE)
    assert answer.status_code == 422


def test_a_client_that_leaves_in_mid_upload_is_no_error(patient: Server) -> None:
    for body in (b"", SAMPLE[:1_000], SAMPLE[:-1]):
        connected(patient, head(len(SAMPLE)) + body).close()
    assert classify(patient) == 200
    patient.process.terminate()
    log = patient.process.communicate(timeout=DEADLINE)[0]
    assert "Traceback" not in log
    assert "unhandled" not in log


@pytest.mark.parametrize(
    ("path", "status"), [("/predict/", 307), ("/nothing", 404), ("/status", 405)]
)
def test_an_answer_before_the_body_is_read_resets_no_connection(
    server: Server, path: str, status: int
) -> None:
    sent = head(WHOLE, "connection: close").replace(b"/predict", path.encode())
    with closing(connected(server, sent)) as connection:
        connection.sendall(bytes(WHOLE // 2))
        data = connection.recv(65_536)
        connection.sendall(bytes(WHOLE // 2))
        while part := connection.recv(65_536):
            data += part
    assert data.startswith(f"HTTP/1.1 {status} ".encode())


def test_a_client_that_waits_to_be_asked_for_a_body_is_not_waited_for() -> None:
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(status_code=404)(scope, receive, send)

    async def receive() -> Message:
        raise AssertionError("a body was waited for")

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"connection", b"close"), (b"expect", b"100-continue")]
    scope = {"type": "http", "method": "POST", "http_version": "1.1", "headers": headers}
    asyncio.run(Lingering(app)(scope, receive, send))
    assert not sent[-1].get("more_body", False)
