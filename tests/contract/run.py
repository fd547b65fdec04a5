"""Test the whole API of a local stack against openapi.json, with valid and invalid requests:
python -m tests.contract.run [OPTIONS OF schemathesis run]

Fails if a response is a 5xx, breaks its schema or is not in openapi.json, if an invalid request is
accepted, or if no valid request to a route succeeds. Runs first as the admin, then without a token.
`--include-name "POST /predict"` sends one route the same requests as in the whole run.
CONTRACT_LOGS=folder keeps the stack's logs.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx

from clickbait.keys import id_of
from tests.local_stack import ROOT, LocalStack, copy_of_the_checkout
from tests.samples.drawn import encoded, picture
from tests.waiting import DEADLINE, eventually

SCHEMATHESIS = ROOT / ".venv-contract" / "bin" / "schemathesis"
HERE = Path(__file__).parent

MANY = 60
"""Number of pending corrections and of open batches. Requests decide or start them, and some must
be left at the end."""

AT_ONCE = 10
"""Images that one request moves. On a busy machine, many would take longer than a function may."""

DROPPED = "dropped"
"""A batch that is a folder."""

QUIET_SECONDS = 900
"""The template's maximum, so that no upload starts a training."""

TRAINING = "mkdir first 2>/dev/null && exec sleep 86400\nexit 2\n"
"""No training here trains. The first one stays until a request cancels it, and the others fail at
once, so that POST /retrain succeeds too."""

EXAMPLES_WITHOUT_TOKEN = 4
"""Few, because protected routes answer 401 before they read a request."""


def main(options: list[str]) -> int:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="contract-") as name:
        folder = Path(name)
        stack = LocalStack(
            folder / "state",
            copy_of_the_checkout(folder / "checkout"),
            QUIET_PERIOD=str(QUIET_SECONDS),
        )
        (stack.checkout / "act.sh").write_text(TRAINING)
        stack.start()
        try:
            fill(stack, folder)
            print(f"The stack is there after {time.monotonic() - started:.0f} s.", flush=True)
            token = (stack.state_dir / "admin-token").read_text().strip()
            failed = has_failures(stack, folder, token, options)
            admin = tally(folder)
            nobody = [*options, "--phases", "coverage,fuzzing", "-n", str(EXAMPLES_WITHOUT_TOKEN)]
            failed |= has_failures(stack, folder, "", nobody)
            tally(folder)
        finally:
            log = stack.state_dir / "logs"
            if "CONTRACT_LOGS" in os.environ:
                shutil.copytree(log, os.environ["CONTRACT_LOGS"], dirs_exist_ok=True)
            stack.stop()
    unreached = sorted(operations(options) - admin)
    for operation in unreached:
        print(f"{operation} never succeeded, so its responses were not tested.")
    if failed:
        again = "make contract ARGS='--include-name \"POST /predict\"'"
        print(f"The same questions to one route alone, by its name above: {again}")
    print(f"{time.monotonic() - started:.0f} s")
    return int(failed or bool(unreached))


def fill(stack: LocalStack, folder: Path) -> None:
    """Create one of everything that routes return, and images to send; write `known.json`."""
    images = folder / "images"
    images.mkdir()
    for seed, (extension, kind) in enumerate({"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}.items()):
        for size in ((64, 64), (320, 180)):
            data = encoded(picture(size, seed), kind)
            (images / f"{kind.lower()}-{size[0]}.{extension}").write_bytes(data)
    with stack.admin() as admin:
        known = {
            "version": versions(stack, admin),
            "batch": batches(stack, admin),
            "upload": uploads(admin),
            "key": [caller(admin, n) for n in range(20)],
            "prediction": predictions(admin),
            "feedback": [correction(admin, seed) for seed in range(MANY)],
            "run": [right(admin.post("/retrain", json={"method": "fine_tuning"}))["id"]],
            **labelled(stack, admin),
            "review": reviewed(admin),
        }
    (folder / "known.json").write_text(json.dumps(known))


def right(answer: httpx.Response) -> dict:
    assert answer.is_success, answer.text
    return answer.json()


def versions(stack: LocalStack, admin: httpx.Client) -> list[str]:
    """The baseline, and a copy of it that was never live."""
    (shipped,) = right(admin.get("/models"))["items"]
    source = stack.checkout / "layers" / "baseline" / "baseline"
    name = "20990101-000000-abcdef"
    bucket = stack.description()["outputs"]["ModelsBucket"]
    s3 = stack.cloud("s3")
    for file in ("model.tflite", "reference.json", "evaluation.json", "metadata.json"):
        data = (source / file).read_bytes()
        if file == "metadata.json":
            data = json.dumps(json.loads(data) | {"model_version": name}).encode()
        s3.put_object(Bucket=bucket, Key=f"versions/{name}/{file}", Body=data)
    return [shipped["version"], name]


def batches(stack: LocalStack, admin: httpx.Client) -> list[str]:
    """A finished batch of a dropped folder with a broken file, and MANY that await their files."""
    bucket = stack.description()["outputs"]["DataBucket"]
    files = {f"{n}.jpg": encoded(picture((64, 64), n)) for n in range(MANY)} | {"bad.jpg": b"bad"}
    for file, data in files.items():
        stack.cloud("s3").put_object(Bucket=bucket, Key=f"inbox/{DROPPED}/{file}", Body=data)

    def finished() -> bool:
        return admin.get(f"/batches/{DROPPED}").json().get("state") == "finished"

    assert eventually(finished), admin.get(f"/batches/{DROPPED}").text
    names = {"files": [f"{n}.jpg" for n in range(150)]}  # Two pages of forms.
    return [DROPPED, *(right(admin.post("/batches", json=names))["id"] for _ in range(MANY))]


def labelled(stack: LocalStack, admin: httpx.Client) -> dict[str, list[str]]:
    """MANY labelled images to change, and as many changes to undo."""
    bucket = stack.description()["outputs"]["DataBucket"]
    for n in range(2 * MANY):
        data = encoded(picture((64, 64), 1000 + n))
        stack.cloud("s3").put_object(Bucket=bucket, Key=f"train/clickbait/{n:03}.jpg", Body=data)

    def described() -> bool:
        return right(admin.get("/dataset"))["images"] == 2 * MANY

    assert eventually(described), admin.get("/dataset").text
    ids = [id_of(f"train/clickbait/{n:03}.jpg") for n in range(2 * MANY)]
    changes: list[str] = []
    for start in range(MANY, 2 * MANY, AT_ONCE):
        some = {"ids": ids[start : start + AT_ONCE], "folder": "exam"}
        moved = right(admin.post("/dataset/images", json=some))
        changes += [one["change"] for one in moved["items"]]
    return {"image": ids[:MANY], "change": changes}


def reviewed(admin: httpx.Client) -> list[str]:
    """Images of the dropped batch. Half of them have a label, to take back."""
    ids = [id_of(f"inbox/{DROPPED}/{n}.jpg") for n in range(MANY)]
    right(admin.post("/review", json={"ids": ids[::2], "label": "clickbait_real"}))
    return ids


def uploads(admin: httpx.Client) -> list[str]:
    """The keys of two uploads, one of which is missing."""
    wanted = {"purpose": "image", "content_type": "image/jpeg", "count": 2}
    there, missing = right(admin.post("/uploads", json=wanted))["items"]
    file = {"file": encoded(picture())}
    sent = httpx.post(
        there["url"], data=there["fields"], files=file, trust_env=False, timeout=DEADLINE
    )
    assert sent.is_success, sent.text
    return [there["key"], missing["key"]]


def caller(admin: httpx.Client, n: int) -> str:
    """The id of a new key, to revoke."""
    return right(admin.post("/keys", json={"name": f"caller {n}", "role": "predict"}))["id"]


def predictions(admin: httpx.Client) -> list[str]:
    """The ids of two predictions, once the history has them."""
    files = [("files", encoded(picture((64, 64), 200 + n))) for n in range(2)]
    answer = right(admin.post("/predict-batch", files=files))
    ids = [one["id"] for one in answer["results"]]
    assert eventually(lambda: all(admin.get(f"/predictions/{one}").is_success for one in ids))
    return ids


def correction(admin: httpx.Client, seed: int) -> str:
    file = {"file": encoded(picture((64, 64), 100 + seed))}
    return right(admin.post("/feedback", data={"label": "legitimate"}, files=file))["id"]


def has_failures(stack: LocalStack, folder: Path, token: str, options: list[str]) -> bool:
    """Run Schemathesis; return whether it found a failure."""
    command = [str(SCHEMATHESIS), "--config-file", str(HERE / "schemathesis.toml"), "run"]
    command += [str(stack.checkout / "openapi.json"), "--url", stack.api_url, "--no-color"]
    if token:
        command += ["-H", f"Authorization: Bearer {token}"]
    print("as the admin" if token else "without a token", shlex.join(options), flush=True)
    environment = {
        **os.environ,
        "CONTRACT_FOLDER": str(folder),
        "CONTRACT_TOKEN": token,
        "NO_PROXY": "127.0.0.1",
    }
    return (
        subprocess.run([*command, *options], cwd=ROOT, env=environment, check=False).returncode != 0
    )


def tally(folder: Path) -> set[str]:
    """The operations that succeeded; prints the number of responses by status, and the slowest."""
    file = folder / "tally.jsonl"
    noted = [json.loads(line) for line in file.read_text().splitlines()]
    file.unlink()
    lines = [line for line in noted if "status" in line]
    statuses: dict[str, Counter[str]] = {}
    for line in lines:
        # Responses of the emulator or the gateway have no request id.
        whose = "" if line["ours"] else f" (not ours, {line['method']})"
        statuses.setdefault(line["operation"], Counter())[f"{line['status']}{whose}"] += 1
    for operation, counted in sorted(statuses.items()):
        print(f"{operation}: {listed(counted)}")
    passed = Counter(line["let_pass"] for line in noted if "let_pass" in line)
    print(f"let pass, as questions.py says: {listed(passed) or 'nothing'}")
    print(f"{len(lines)} cases, the slowest {max(line['ms'] for line in lines)} ms")
    return {line["operation"] for line in lines if line["positive"] and line["status"] < 400}


def listed(counted: Counter[str]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in sorted(counted.items()))


def operations(options: list[str]) -> set[str]:
    """The operations that must succeed: all, or none if the options select some."""
    if any(option.startswith(("--include", "--exclude", "--phases")) for option in options):
        return set()
    paths = json.loads((ROOT / "openapi.json").read_text())["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
