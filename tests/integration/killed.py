"""Begins a small update and kills its own process at a named moment:
`python -m tests.integration.killed RUN MOMENT`."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from clickbait.store.image_features import FeatureStore
from clickbait.store.registry import METADATA, Registry
from clickbait.store.runs import Runs
from functions.learn import app, attempt


def kill(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str, when: Callable[..., bool] = lambda *_: True) -> None:
    """Kill the process before `owner.name` is called with arguments for which `when` holds."""
    original = getattr(owner, name)

    def instead(*args: Any, **named: Any) -> Any:
        if when(*args):
            kill()
        return original(*args, **named)

    setattr(owner, name, instead)


MOMENTS: dict[str, Callable[[], None]] = {
    "listed": lambda: before(attempt, "read_live"),
    "features": lambda: before(FeatureStore, "_save"),
    "learning": lambda: before(attempt, "small_update"),
    "half published": lambda: before(
        Registry, "_put", lambda _, key, *__: key.startswith("versions/") and key.endswith(METADATA)
    ),
    "published": lambda: before(Registry, "promote"),
    "promoted": lambda: before(Runs, "end"),
}

if __name__ == "__main__":
    run, moment = sys.argv[1:]
    MOMENTS[moment]()
    app.update(run)
