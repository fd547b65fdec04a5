"""Measure the cold start, from the start of a process to its first response, with Lambda's client.

python loadtest/cold_start.py [RUNS]: median and range of RUNS processes, then the time of imports.
"""

import argparse
import base64
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "layers/clickbait/python")]

from tests.integration.runtime_api import invoked  # noqa: E402

HANDLER = "functions.predict.app.handler"
SHOWN = ("fastapi", "pydantic", "mangum", "numpy", "ai_edge_litert", "PIL", "aws_lambda_powertools")


def first_response() -> tuple[float, float]:
    """Milliseconds from the start of a process to its first response, and on to the second."""
    event = json.loads((ROOT / "events/http-predict.json").read_text())
    event["body"] = base64.b64encode((ROOT / "sample.jpg").read_bytes()).decode()
    with invoked(HANDLER, [event, event]) as api:
        (first, response), (second, _) = api.responses
    if response["statusCode"] != 200:
        sys.exit(f"the handler answered {response}")
    return 1e3 * first, 1e3 * (second - first)


def imports() -> dict[str, float]:
    """Milliseconds of each package's import, with its own imports (`-X importtime`)."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import functions.predict.app"],
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'layers/clickbait/python'}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    costs: dict[str, float] = {}
    for line in done.stderr.splitlines():
        if found := re.fullmatch(r"import time:\s+\d+ \|\s+(\d+) \|\s+(\S+)", line):
            costs.setdefault(found[2], int(found[1]) / 1e3)
    return {name: costs.get(name, 0.0) for name in (*SHOWN, "functions.predict.app")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=int, nargs="?", default=9, help="processes to start [9]")
    runs = parser.parse_args().runs
    first_response()  # Fills the page cache, as Lambda's own cache would.
    firsts, seconds = zip(*(first_response() for _ in range(runs)), strict=True)
    print(
        f"first response, {runs} fresh processes: median {statistics.median(firsts):.0f} ms, ",
        end="",
    )
    print(
        f"{min(firsts):.0f} to {max(firsts):.0f}; the second takes {statistics.median(seconds):.0f}"
    )
    print("| import | ms, with its own imports |\n|---|---|")
    for name, cost in imports().items():
        print(f"| {name} | {cost:.0f} |")


if __name__ == "__main__":
    main()
