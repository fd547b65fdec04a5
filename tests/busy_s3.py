"""An S3 on a port of its own that can refuse, in front of the buckets of moto.

botocore sends real requests to it, so its own retries, its parser and its connections take part.
Use it within moto's `mock_aws`, with AWS_ENDPOINT_URL_S3 as `served` sets it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import requests

from clickbait import aws
from tests.waiting import DEADLINE

MOTO = "https://s3.amazonaws.com"
OF_A_CONNECTION = {"connection", "content-encoding", "content-length", "date", "server"}
SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message><RequestId>1</RequestId></Error>"
)


class BusyS3(ThreadingHTTPServer):
    """Answers 503 SlowDown while `busy`, and else what moto answers."""

    daemon_threads, block_on_close, request_queue_size = True, False, 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.busy = False
        self.answered: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: BusyS3

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.server.busy:
            self._answer(503, {"content-type": "application/xml"}, SLOW_DOWN)
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        found = requests.request(
            self.command, MOTO + self.path, headers=headers, data=body, timeout=DEADLINE
        )
        self._answer(found.status_code, dict(found.headers), found.content)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.server.answered.append(status)
        self.send_response(status)
        length = str(len(content))
        for name, value in headers.items():
            if name.lower() == "content-length" and self.command == "HEAD":
                length = value
            elif name.lower() not in OF_A_CONNECTION:
                self.send_header(name, value)
        self.send_header("content-length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class NoPauses:
    """Stands in for the module `time` of botocore, which waits between its own attempts."""

    @staticmethod
    def sleep(_: float) -> None:
        pass


def forget(cached: Iterable[Any]) -> None:
    """As `aws.forget_clients`, also while a test has replaced some of these functions."""
    for clients in cached:
        clients.cache_clear()


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[BusyS3]:
    """A running BusyS3; clients of S3 that are created meanwhile send to it, and retry at once.

    They wait for it as long as a test waits for anything: only its 503 is under test.
    """
    create = aws._new_client

    def patient(service: str, **options: Any) -> Any:
        waits = {"connect_timeout": DEADLINE, "read_timeout": DEADLINE}
        return create(service, **options | waits)

    cached = aws.client, aws.quick_client, aws.patient_client, aws.signing_client
    with BusyS3() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        monkeypatch.setattr("botocore.endpoint.time", NoPauses)
        monkeypatch.setattr(aws, "_new_client", patient)
        forget(cached)
        try:
            yield server
        finally:
            forget(cached)
            server.shutdown()
            thread.join()
