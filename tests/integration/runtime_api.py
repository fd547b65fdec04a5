"""The part of Lambda's runtime API that the real runtime client (`awslambdaric`) needs.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]


class RuntimeApi(HTTPServer):
    """Hands out `events` in order, and keeps (seconds since `started`, response) for each."""

    def __init__(self, events: Sequence[dict[str, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.events = list(events)
        self.responses: list[tuple[float, dict[str, Any]]] = []
        self.started = time.perf_counter()
        self.process: subprocess.Popen[bytes]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the end of the client, which is killed while it waits for more events."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: RuntimeApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if not self.server.events:  # The client waits here until it is killed.
            self.close_connection = True
            return
        body = json.dumps(self.server.events.pop(0)).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int(1e3 * (time.time() + 30))))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:::function:p")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        response = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.responses.append((time.perf_counter() - self.server.started, response))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing, because the responses are kept."""


@contextmanager
def invoked(
    handler: str,
    events: Sequence[dict[str, Any]],
    python: str = sys.executable,
    changes: Mapping[str, str] | None = None,
) -> Iterator[RuntimeApi]:
    """Run `handler` under the real runtime client, in a new process, for all `events`. `changes`
    are made to its environment, which has this checkout on its path."""
    api = RuntimeApi(events)
    Thread(target=api.serve_forever, daemon=True).start()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "layers/clickbait/python")]),
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}",
        "AWS_LAMBDA_FUNCTION_NAME": "predict",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_REGION": "us-east-1",
        "LAMBDA_TASK_ROOT": str(ROOT),
    } | dict(changes or {})
    api.started = time.perf_counter()
    api.process = process = subprocess.Popen(
        [python, "-m", "awslambdaric", handler],
        cwd=environment["LAMBDA_TASK_ROOT"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: len(api.responses) == len(events) or process.poll() is not None)
        yield api
    finally:
        process.kill()
        process.wait()
        api.shutdown()
        api.server_close()
