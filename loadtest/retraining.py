"""What a retraining takes on the local stack, with a client predicting all the while.

    make up                                        # in another terminal, with an empty STATE_DIR
    python loadtest/retraining.py --data IMAGES    # 400 images into train/, one by one

Uploads images that the model that ships never trained on, follows the runs to their end, and prints
how many there were, what each decided and why, how long each stage took, how many answers failed
meanwhile, and when the new version answered first.
"""

import argparse
import json
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "layers/clickbait/python")]

from clickbait.store.runs import ENDED  # noqa: E402
from training.gather import find  # noqa: E402
from training.sides import read_manifest  # noqa: E402

OTHER = {"clickbait_fake": "clickbait_real", "clickbait_real": "clickbait_fake"}
REQUESTS_PER_SECOND = 10
PATIENCE_SECONDS = 3600


@dataclass
class Client:
    """Predicts at a steady rate until it is told to stop, and keeps every answer's fate."""

    url: str
    images: list[bytes]
    stop: threading.Event = field(default_factory=threading.Event)
    answers: list[tuple[float, int, str]] = field(default_factory=list)
    """(time, status or 0, model_version) of each request."""

    def run(self) -> None:
        with httpx.Client(base_url=self.url, trust_env=False, timeout=30) as http:
            due = time.monotonic()
            while not self.stop.is_set():
                self.answers.append(self._ask(http))
                due += 1 / REQUESTS_PER_SECOND
                self.stop.wait(max(0.0, due - time.monotonic()))

    def _ask(self, http: httpx.Client) -> tuple[float, int, str]:
        image = self.images[len(self.answers) % len(self.images)]
        try:
            answer = http.post("/predict", content=image, headers={"content-type": "image/jpeg"})
            version = answer.json().get("model_version", "") if answer.is_success else ""
            if version and answer.headers["x-model-version"] != version:
                return time.time(), 0, "mixed"
            return time.time(), answer.status_code, version
        except httpx.HTTPError as error:
            return time.time(), 0, type(error).__name__


def choose(data: Path, manifest: Path, count: int) -> list[tuple[Path, str]]:
    """`count` images of `data`, with their labels, that `manifest` has not on its training side."""
    trained = {r.file for r in read_manifest(manifest) if r.side == "train"}
    found = [(data / file, label) for file, label in find(data) if file not in trained]
    random.Random(0).shuffle(found)
    return found[:count]


def follow(api: httpx.Client, known: set[str]) -> list[dict[str, Any]]:
    """Every run that is not in `known`, once all of them have ended and none has begun for a
    while."""
    until = time.monotonic() + PATIENCE_SECONDS
    told = ""
    quiet_since = None
    while time.monotonic() < until:
        runs = [r for r in api.get("/runs").json()["items"] if r["id"] not in known]
        line = "  ".join(f"{r['id']} {r['state']} {r.get('epoch', '')}" for r in runs)
        if line != told:
            print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)
            told = line
        if runs and all(r["state"] in ENDED for r in runs):
            quiet_since = quiet_since or time.monotonic()
            if time.monotonic() - quiet_since > 75:  # A quiet period, and a message's way.
                return [api.get(f"/runs/{r['id']}").json() for r in reversed(runs)]
        else:
            quiet_since = None
        time.sleep(1)
    raise SystemExit("No run ended in an hour.")


def main() -> None:
    """Upload, follow, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--skip", type=int, default=0, help="leave out so many of the draw first")
    parser.add_argument("--exam", type=int, default=0, help="so many more go into exam/ before")
    parser.add_argument(
        "--swap", action="store_true", help="put each into the other class's folder"
    )
    parser.add_argument("--anyway", action="store_true", help="POST /retrain, skip_label_check")
    parser.add_argument("--manifest", type=Path, default=ROOT / "training/baseline/manifest.csv")
    parser.add_argument("--state", type=Path, default=ROOT / ".local")
    options = parser.parse_args()
    stack = json.loads((options.state / "stack.json").read_text())
    token = (options.state / "admin-token").read_text().strip()
    s3 = boto3.client(
        "s3",
        endpoint_url=stack["cloud_url"],
        region_name=stack["region"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    bucket = stack["outputs"]["DataBucket"]
    api = httpx.Client(
        base_url=stack["api_url"],
        headers={"authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=60,
    )
    chosen = choose(options.data, options.manifest, options.skip + options.count + options.exam)
    images = chosen[options.skip : options.skip + options.count]
    for path, label in chosen[options.skip + options.count :]:
        s3.put_object(Bucket=bucket, Key=f"exam/{label}/{path.name}", Body=path.read_bytes())
    known = {r["id"] for r in api.get("/runs").json()["items"]}
    client = Client(stack["api_url"], [path.read_bytes() for path, _ in images[:50]])
    thread = threading.Thread(target=client.run)
    thread.start()
    try:
        began = time.time()
        for path, label in images:
            folder = OTHER[label] if options.swap else label
            s3.put_object(Bucket=bucket, Key=f"train/{folder}/{path.name}", Body=path.read_bytes())
        print(f"{len(images)} images uploaded one by one in {time.time() - began:.1f} s")
        if options.anyway:
            api.post("/retrain", json={"skip_label_check": True}).raise_for_status()
        runs = follow(api, known)
    finally:
        client.stop.set()
        thread.join()
    report(runs, client, began)


def report(runs: list[dict[str, Any]], client: Client, began: float) -> None:
    """Print what happened."""
    for run in runs:
        print(f"\nrun {run['id']}: {run['state']}: {run['reason']}")
        for name in ("images", "seconds", "version", "warnings"):
            if run.get(name):
                print(f"  {name}: {run[name]}")
        for state, at in run["times"].items():
            print(f"  {state:<10} {at}")
    statuses = Counter(status for _, status, _ in client.answers)
    print(f"\n{len(client.answers)} predictions meanwhile, by status: {dict(statuses)}")
    seen: dict[str, float] = {}
    for at, _, version in client.answers:
        if version:
            seen.setdefault(version, at)
    for version, at in seen.items():
        print(f"  {version} answered first {at - began:.1f} s after the first upload")


if __name__ == "__main__":
    main()
