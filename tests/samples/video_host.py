"""A stand-in for the host of YouTube's thumbnails, on loopback."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ID = "dQw4w9WgX-_"
"""Of no real video."""
BEST, USUAL = f"/vi/{ID}/maxresdefault.jpg", f"/vi/{ID}/hqdefault.jpg"


class StandIn(ThreadingHTTPServer):
    """Answers as the host of thumbnails would: each path with a status and a body."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        self.released = threading.Event()
        self.drip = False

    def connect(self, seconds: float) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.server_address[1], timeout=seconds)


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, body = self.server.answers.get(self.path, (404, b"grey"))
        self.send_response(status)
        if status == 302:
            self.send_header("location", f"http://127.0.0.1:{self.server.server_address[1]}/other")
        self.end_headers()
        if self.server.drip:
            while not self.server.released.wait(0.05):
                self.wfile.write(b"x")
                self.wfile.flush()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the output of the tests clean."""


@contextmanager
def serving() -> Iterator[StandIn]:
    with StandIn() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()
