"""Starts a training run through the API, of the local stack or of any other, and follows it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx

from ops import StackError, running_stack, state_dir

POLL_SECONDS = 1.0
MAX_FAILURES = 30
"""Failed requests in a row before the command gives up; the run itself does not depend on them."""

ENDED = ("PROMOTED", "REJECTED", "FAILED", "CANCELLED")
TRANSIENT = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Service:
    """The address of an API and the token of its admin."""

    url: str
    token: str

    @classmethod
    def named(cls, url: str, token: str) -> Self:
        """The service at `url`, or the local stack if `url` is empty.

        Raises StackError if no local stack runs, or if the token of another service is missing.
        """
        if url:
            if not token:
                raise StackError("--url needs --token too, or ADMIN_TOKEN.")
            return cls(url.rstrip("/"), token)
        api_url = running_stack()["api_url"]
        return cls(api_url, token or (state_dir() / "admin-token").read_text().strip())


def retrain(service: Service, parameters: Mapping[str, Any], say: Callable[[str], None]) -> bool:
    """Start a run and report its progress until it ends; return whether it succeeded.

    A run whose model the gate rejects has succeeded. Raises StackError if the API refuses the
    request or cannot be reached.
    """
    with httpx.Client(
        base_url=service.url,
        headers={"authorization": f"Bearer {service.token}"},
        timeout=40,  # Seconds; the API's own timeout is 30 s.
        trust_env=not service.url.startswith("http://127.0.0.1"),
    ) as client:
        run = _send(client, "POST", "/retrain", json=dict(parameters))
        say(f"run {run['id']}")
        last, failures = "", 0
        while True:
            line = progress(run)
            if line != last:
                say(line)
                last = line
            if run["state"] in ENDED:
                return run["state"] in ("PROMOTED", "REJECTED")
            time.sleep(POLL_SECONDS)
            try:
                run = _send(client, "GET", f"/runs/{run['id']}")
                failures = 0
            except _Unavailable:
                failures += 1
                if failures >= MAX_FAILURES:
                    raise


def progress(run: Mapping[str, Any]) -> str:
    """One line: the state, with the epoch and validation AUC, or with the reason."""
    if run["state"] != "RUNNING" or run.get("epoch") is None:
        return f"{run['state']}: {run['reason']}"
    of = f" of {run['epochs']}" if run.get("epochs") else ""
    area = (run.get("metrics") or {}).get("val_auc")
    measured = "" if area is None else f", validation AUC {area:.3f}"
    return f"RUNNING, epoch {run['epoch']}{of}{measured}"


class _Unavailable(StackError):
    """Raise when a request failed and the same request may succeed later."""


def _send(client: httpx.Client, method: str, path: str, **content: Any) -> dict[str, Any]:
    request = f"{method} {str(client.base_url).rstrip('/')}{path}"
    try:
        response = client.request(method, path, **content)
    except httpx.InvalidURL as error:
        raise StackError(f"{request}: {error}") from error
    except httpx.HTTPError as error:
        raise _Unavailable(f"{request}: {error or type(error).__name__}") from error
    if response.is_success:
        run: dict[str, Any] = response.json()
        return run
    try:
        problem = response.json()
        reason = problem.get("detail") or problem.get("message") or problem["title"]
    except (ValueError, KeyError):
        reason = response.text
    kind = _Unavailable if response.status_code in TRANSIENT else StackError
    raise kind(f"{request} answers {response.status_code}: {' '.join(str(reason).split())[:500]}")
