"""A deployment that does not answer fails loudly, and names the route."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from urllib3.util import Retry

from ops import StackError, service

WELL = {
    "/status": (200, {"status": "ready"}),
    "/system-check": (200, {"checks": [{"name": "model", "ok": True, "detail": "ok"}]}),
    "/predict": (200, {"probability": 0.5}),
}


class Service(HTTPServer):
    """Answers as `answers` says, each route's list one by one, the last one for ever."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, object]]] = {r: [a] for r, a in WELL.items()}
        self.bodies: list[bytes] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.server.bodies.append(self.rfile.read(length))
        listed = self.server.answers[self.path]
        status, body = listed.pop(0) if len(listed) > 1 else listed[0]
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def answering(monkeypatch) -> Iterator[Service]:
    retry = Retry(2, backoff_factor=0, status_forcelist=(503,), allowed_methods=None)
    monkeypatch.setattr(service, "RETRY", retry)
    with Service() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_service_that_is_well_passes_with_its_image(answering):
    service.check(answering.url, b"an image")
    assert answering.bodies == [b"", b"", b"an image"]


def test_a_cold_start_is_asked_again(answering):
    answering.answers["/status"].insert(0, (503, {}))
    answering.answers["/predict"].insert(0, (503, {}))
    service.check(answering.url, b"an image")


@pytest.mark.parametrize(
    ("route", "answer", "reason"),
    [
        ("/status", (503, {"detail": "no model"}), "GET .*/status failed"),
        ("/status", (200, b"<html>"), "GET .*/status failed"),
        ("/predict", (415, {"detail": "no image"}), "POST .*/predict failed: 415"),
        ("/predict", (200, {"probability": 7}), "/predict answered"),
        (
            "/system-check",
            (200, {"checks": [{"name": "models bucket", "ok": False, "detail": "denied"}]}),
            "not well: models bucket: denied",
        ),
    ],
)
def test_a_service_that_is_not_well_is_one_sentence(answering, route, answer, reason):
    answering.answers[route] = [answer]
    with pytest.raises(StackError, match=reason):
        service.check(answering.url, b"an image")


def test_a_service_that_predicts_for_keys_alone_is_well_too(answering):
    """The hook of the deployment has asked it with the admin's token."""
    answering.answers["/predict"] = [(401, {"detail": "no key"})]
    service.check(answering.url, b"an image")


def test_an_address_where_nothing_answers_is_one_sentence(monkeypatch):
    monkeypatch.setattr(service, "RETRY", Retry(0))
    with pytest.raises(StackError, match=r"GET .*/status failed"):
        service.check("http://127.0.0.1:9", b"an image")
