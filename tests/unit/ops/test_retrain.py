"""`python -m ops retrain` reports a run, and each error in one line."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from ops import retrain
from ops.__main__ import main
from ops.retrain import progress

RUN = {"id": "20260101-000000-abcdef", "state": "QUEUED", "reason": "Asked for."}


class Api(BaseHTTPRequestHandler):
    """Returns `responses` in order, the last one again and again; records `requests`."""

    def do_GET(self):
        server = self.server
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        server.requests.append((self.command, self.path, self.headers["authorization"], body))
        status, content = (
            server.responses.pop(0) if len(server.responses) > 1 else server.responses[0]
        )
        text = content if isinstance(content, str) else json.dumps(content)
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_POST = do_GET

    def log_message(self, *args):
        pass


@pytest.fixture
def api(tmp_path, monkeypatch) -> Iterator[ThreadingHTTPServer]:
    """An API that looks like the local stack."""
    monkeypatch.setattr(retrain, "POLL_SECONDS", 0)
    monkeypatch.delenv("API_URL", raising=False)
    monkeypatch.delenv("ADMIN_TOKEN", raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.responses, server.requests = [], []
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    (tmp_path / "stack.json").write_text(json.dumps({"api_url": server.url}))
    (tmp_path / "admin-token").write_text("secret\n")
    monkeypatch.setenv("STATE_DIR", str(tmp_path))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(*arguments: str):
    return CliRunner().invoke(main, ["retrain", *arguments])


def test_a_run_is_followed_to_its_end_and_its_reason(api):
    running = RUN | {"state": "RUNNING", "epochs": 2, "reason": "It trains."}
    api.responses += [
        (202, RUN),
        (200, RUN | {"state": "RUNNING", "reason": "It lists."}),
        (200, running | {"epoch": 1, "metrics": {"val_auc": 0.8125}}),
        (200, running | {"epoch": 1, "metrics": {"val_auc": 0.8125}}),
        (503, {"message": "Service Unavailable"}),
        (200, RUN | {"state": "PROMOTED", "reason": "Better by 0.02."}),
    ]
    done = ask("--epochs", "2", "--from-scratch")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [
        "run 20260101-000000-abcdef",
        "QUEUED: Asked for.",
        "RUNNING: It lists.",
        "RUNNING, epoch 1 of 2, validation AUC 0.812",
        "PROMOTED: Better by 0.02.",
    ]
    posted = ("POST", "/retrain", "Bearer secret", {"epochs": 2, "from_scratch": True})
    assert api.requests[0] == posted
    assert {each[:3] for each in api.requests[1:]} == {
        ("GET", "/runs/20260101-000000-abcdef", "Bearer secret")
    }


@pytest.mark.parametrize(
    ("state", "status"), [("PROMOTED", 0), ("REJECTED", 0), ("FAILED", 1), ("CANCELLED", 1)]
)
def test_the_exit_status_says_whether_the_training_failed(api, state, status):
    api.responses.append((202, RUN | {"state": state}))
    assert ask().exit_code == status


def test_a_refusal_is_one_line(api):
    api.responses.append((422, {"detail": "epochs: 999 is more than\n200", "title": "Invalid"}))
    done = ask("--epochs", "999")
    assert done.exit_code == 1
    assert done.output == (
        f"retrain: POST {api.url}/retrain answers 422: epochs: 999 is more than 200\n"
    )


def test_an_api_that_stays_away_is_given_up(api, monkeypatch):
    monkeypatch.setattr(retrain, "MAX_FAILURES", 3)
    api.responses += [(202, RUN), (502, "<html>")]
    done = ask()
    assert done.exit_code == 1
    assert done.output.endswith(f"/runs/{RUN['id']} answers 502: <html>\n")
    assert len(api.requests) == 4


def test_another_api_needs_its_own_token(api, monkeypatch):
    done = ask("--url", api.url)
    assert (done.exit_code, done.output) == (
        1,
        "retrain: --url needs --token too, or ADMIN_TOKEN.\n",
    )
    api.responses.append((202, RUN | {"state": "REJECTED"}))
    monkeypatch.setenv("API_URL", api.url + "/")
    monkeypatch.setenv("ADMIN_TOKEN", "theirs")
    assert ask().exit_code == 0
    assert api.requests[0][2] == "Bearer theirs"


def test_without_a_stack_one_line_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "none"))
    for command in ("retrain", "replay"):
        done = CliRunner().invoke(main, [command])
        assert done.exit_code == 1
        assert done.output.startswith(f"{command}: No stack runs in {tmp_path}")
        assert done.output.count("\n") == 1


def test_an_address_that_nobody_answers_is_one_line():
    done = ask("--url", "http://127.0.0.1:9", "--token", "x")
    assert done.exit_code == 1
    assert done.output.startswith("retrain: POST http://127.0.0.1:9/retrain: ")
    assert done.output.count("\n") == 1


def test_an_epoch_without_validation_images_has_no_auc():
    run = RUN | {"state": "RUNNING", "epoch": 3, "epochs": None, "metrics": {"val_auc": None}}
    assert progress(run) == "RUNNING, epoch 3"
