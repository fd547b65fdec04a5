"""Measure the cold start of `predict` as Lambda runs it, with Lambda's own runtime client.

    python loadtest/cold_start.py                     # 20 fresh processes, and a table of imports
    python loadtest/cold_start.py --against COMMIT    # both in turns, and their ratio

The function and its layers are built as `sam build` builds them: the locked x86_64 wheels, Python
3.13 and its bytecode. A first answer is the time from the start of the process to the response to
a prediction. CPU time is of that process alone, so a busy machine affects it less. With --table the
function also has a table and a models bucket, as on AWS, for which it imports boto3.
"""

import argparse
import base64
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "layers/clickbait/python")]

from tests.integration.runtime_api import invoked  # noqa: E402

SCRATCH = ROOT / ".local/cold-start"
FUNCTIONS = {
    "predict": "functions.predict.app",
    "batch": "functions.batch.app",
    "admin": "functions.admin.app",
    "worker": "functions.batch.worker",
    "retrain": "functions.retrain.app",
    "learn": "functions.learn.app",
}
SHOWN = (
    "fastapi",
    "pydantic",
    "starlette.applications",
    "mangum",
    "numpy",
    "ai_edge_litert.interpreter",
    "PIL.Image",
    "aws_lambda_powertools",
)
SOURCES = ("functions", "layers", "openapi.json")


def build(source: Path, target: Path, python: str) -> None:
    """Build the function and its layers from the checkout `source`, laid out as in Lambda."""
    tool = f"INSTALLER={sys.executable} -m pip"
    for folder, rule, into in (
        ("functions", "build-PredictFunction", "task"),
        ("layers/clickbait", "build-LibraryLayer", "opt"),
        ("layers/dependencies", "build-DependenciesLayer", "opt"),
    ):
        make = ["make", "--silent", "-C", str(source / folder), rule, tool]
        settings = [f"ARTIFACTS_DIR={target / into}", f"TARGET_PYTHON={python}"]
        subprocess.run([*make, *settings], check=True)
    shutil.copytree(source / "layers/baseline/baseline", target / "opt/baseline")


def runtime(python: str) -> str:
    """The interpreter of an environment with what Lambda's Python includes: its runtime client and
    boto3, in the versions that the tests have."""
    folder = SCRATCH / "runtime"
    if not (folder / "done").exists():
        locked = (ROOT / "tests/requirements.txt").read_text()
        wanted = re.findall(r"(?m)^(?:awslambdaric|boto3)==\S+", locked)
        subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", *wanted]
        subprocess.run(pip, check=True)
        (folder / "done").touch()
    return str(folder / "bin/python")


def environment(artefact: Path, endpoint: str) -> dict[str, str]:
    path = [str(artefact / "task"), str(artefact / "opt/python")]
    lean = {
        "LAMBDA_TASK_ROOT": path[0],
        "PYTHONPATH": os.pathsep.join(path),
        "MODEL_PATH": str(artefact / "opt/baseline"),
    }
    if not endpoint:
        return lean
    return lean | {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "TABLE": "table",
        "MODELS_BUCKET": "models",
    }


class Cloud(BaseHTTPRequestHandler):
    """An empty bucket, and a table that keeps nothing."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b"{}")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def cloud(wanted: bool) -> Iterator[str]:
    """The address of a Cloud, or nothing."""
    if not wanted:
        yield ""
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def first_answer(python: str, artefact: Path, endpoint: str) -> dict[str, float]:
    """Milliseconds from the start of a process to its first response, and of its CPU until then."""
    event = json.loads((ROOT / "events/http-predict.json").read_text())
    event["body"] = base64.b64encode((ROOT / "sample.jpg").read_bytes()).decode()
    changes = environment(artefact, endpoint)
    handler = FUNCTIONS["predict"] + ".handler"
    with invoked(handler, [event], python=python, changes=changes) as api:
        ((seconds, response),) = api.responses
        threads = Path(f"/proc/{api.process.pid}/task").glob("*/schedstat")
        cpu = sum(int(thread.read_text().split()[0]) for thread in threads)
    if response["statusCode"] != 200:
        sys.exit(f"the handler answered {response}")
    return {"wall": 1e3 * seconds, "CPU": cpu / 1e6}


def imports(python: str, artefact: Path, module: str) -> dict[str, float]:
    """Milliseconds of each package's import after that of the runtime client, with what it imports
    itself (`-X importtime`)."""
    done = subprocess.run(
        [python, "-X", "importtime", "-c", f"import awslambdaric.bootstrap, {module}"],
        env={"PATH": os.environ["PATH"]} | environment(artefact, ""),
        cwd=artefact / "task",
        capture_output=True,
        text=True,
        check=True,
    )
    costs: dict[str, float] = {}
    for line in done.stderr.splitlines():
        if found := re.fullmatch(r"import time:\s+\d+ \|\s+(\d+) \|\s+(\S+)", line):
            costs.setdefault(found[2], int(found[1]) / 1e3)
    return {name: costs.get(name, 0.0) for name in (*SHOWN, module)}


def table(python: str, artefact: Path, runs: int) -> Iterator[str]:
    """A row for each function: its whole import, and its packages'; the least of `runs`."""
    yield "| ms | all | " + " | ".join(SHOWN) + " |"
    yield "|---" * (len(SHOWN) + 2) + "|"
    for name, module in FUNCTIONS.items():
        tries = [imports(python, artefact, module) for _ in range(runs)]
        least = {each: min(one[each] for one in tries) for each in (module, *SHOWN)}
        yield f"| {name} | " + " | ".join(f"{ms:.0f}" if ms else "" for ms in least.values()) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20, help="processes of each build [20]")
    parser.add_argument("--against", metavar="COMMIT", help="compare with the code of a commit")
    parser.add_argument("--table", action="store_true", help="with a table and a models bucket")
    parser.add_argument("--python", default="", help="a Python 3.13 [the first on the PATH]")
    options = parser.parse_args()
    newest = Path.home().glob(".pyenv/versions/3.13.*/bin/python3.13")
    target = options.python or next(map(str, newest), None) or shutil.which("python3.13")
    if not target:
        sys.exit("Python 3.13, Lambda's, is missing; name one with --python")
    builds = {"this code": ROOT}
    if options.against:
        old = SCRATCH / "source"
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir(parents=True)
        archive = ["git", "-C", str(ROOT), "archive", options.against, *SOURCES]
        packed = subprocess.run(archive, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", str(old)], input=packed, check=True)
        builds[options.against] = old
    for number, source in enumerate(builds.values()):
        shutil.rmtree(SCRATCH / str(number), ignore_errors=True)
        build(source, SCRATCH / str(number), target)
    python = runtime(target)
    measured: dict[str, list[dict[str, float]]] = defaultdict(list)
    with cloud(options.table) as endpoint:
        for turn in range(-1, options.runs):
            for number, name in enumerate(builds):
                figures = first_answer(python, SCRATCH / str(number), endpoint)
                if turn >= 0:  # The first one fills the page cache, as Lambda's own would be.
                    measured[name].append(figures)
    for name, rows in measured.items():
        for kind in ("wall", "CPU"):
            times = [row[kind] for row in rows]
            middle = f"median {statistics.median(times):.0f} ms, "
            print(f"{name}, {kind}: {middle}{min(times):.0f} to {max(times):.0f} of {len(times)}")
    if options.against:
        for kind in ("wall", "CPU"):
            pairs = zip(measured["this code"], measured[options.against], strict=True)
            ratio = statistics.median(new[kind] / before[kind] for new, before in pairs)
            print(f"ratio of {kind}, median of pairs: {ratio:.2f}")
    print("\n".join(table(python, SCRATCH / "0", 5)))


if __name__ == "__main__":
    main()
