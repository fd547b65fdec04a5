"""Asks for a training, by the API of this machine's stack or of any other, and follows it."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from ops import StackError

POLL_SECONDS = 1.0
ANSWER_SECONDS = 40.0
"""The API gives up after 30."""

FAILURES_BORNE = 30
"""Answers in a row that may be missing while a run is followed: the run does not depend on them."""

ENDED = ("PROMOTED", "REJECTED", "FAILED")
TRANSIENT = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Service:
    """Where an API is, and what lets its admin in."""

    url: str
    token: str

    @classmethod
    def named(cls, url: str, token: str, state_dir: Path) -> Self:
        """The one with this address, or the stack that runs in `state_dir`.

        Raises StackError where there is none, or the token is missing.
        """
        if url:
            if not token:
                raise StackError("--url needs --token too, or ADMIN_TOKEN.")
            return cls(url.rstrip("/"), token)
        try:
            description = json.loads((state_dir / "stack.json").read_text())
            kept = (state_dir / "admin-token").read_text().strip()
        except FileNotFoundError as error:
            raise StackError(
                f"No stack runs in {state_dir}: start one with make up, name its STATE_DIR, or "
                f"give --url and --token of another."
            ) from error
        return cls(description["api_url"], token or kept)


def retrain(service: Service, parameters: Mapping[str, Any], say: Callable[[str], None]) -> bool:
    """Start a run and tell of it until it ends; False where it failed.

    A model that the gate rejects is a result like any other. Raises StackError where the API
    refuses or cannot be reached.
    """
    with httpx.Client(
        base_url=service.url,
        headers={"authorization": f"Bearer {service.token}"},
        timeout=ANSWER_SECONDS,
        trust_env=not service.url.startswith("http://127.0.0.1"),
    ) as client:
        run = _answer(client, "POST", "/retrain", json=dict(parameters))
        say(f"run {run['id']}")
        told = ""
        failures = 0
        while True:
            line = progress(run)
            if line != told:
                say(line)
                told = line
            if run["state"] in ENDED:
                return bool(run["state"] != "FAILED")
            time.sleep(POLL_SECONDS)
            try:
                run = _answer(client, "GET", f"/runs/{run['id']}")
                failures = 0
            except _Unavailable:
                failures += 1
                if failures >= FAILURES_BORNE:
                    raise


def progress(run: Mapping[str, Any]) -> str:
    """One line: the state, how far it is, how good the model is, and why it is so."""
    parts = [run["state"]]
    if run["state"] == "RUNNING" and run.get("epoch") is not None:
        of = f" of {run['epochs']}" if run.get("epochs") else ""
        parts.append(f"epoch {run['epoch']}{of}")
        area = (run.get("metrics") or {}).get("val_auc")
        if area is not None:
            parts.append(f"validation AUC {area:.3f}")
        return ", ".join(parts)
    return f"{run['state']}: {run['reason']}"


class _Unavailable(StackError):
    """Raise where the same call may work in a moment."""


def _answer(client: httpx.Client, method: str, path: str, **content: Any) -> dict[str, Any]:
    where = f"{method} {str(client.base_url).rstrip('/')}{path}"
    try:
        answer = client.request(method, path, **content)
    except httpx.InvalidURL as error:
        raise StackError(f"{where}: {error}") from error
    except httpx.HTTPError as error:
        raise _Unavailable(f"{where}: {error or type(error).__name__}") from error
    if answer.is_success:
        found: dict[str, Any] = answer.json()
        return found
    try:
        told = answer.json()
        why = told.get("detail") or told.get("message") or told.get("title") or answer.text
    except ValueError:
        why = answer.text
    kind = _Unavailable if answer.status_code in TRANSIENT else StackError
    raise kind(f"{where} answers {answer.status_code}: {' '.join(str(why).split())[:500]}")
