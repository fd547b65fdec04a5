"""python -P local/emulator.py SNAPSHOTS: ministack, which saves its state at every POST to SAVE.

By itself ministack saves its state only at a clean end, one file per service. Here a child process,
a copy of the emulator at one moment, writes a whole snapshot and then renames it into place. So
whatever is killed, and when, the newest snapshot is complete and belongs to one moment. S3 objects
are no part of it: ministack writes each of them to disk before it answers.

Nothing is saved before the first POST, not even at the end: a deployment that was interrupted must
not replace the state before it. This file runs as a script, because the emulator and the functions
that it starts must not see this repository's packages.
"""

import asyncio
import contextlib
import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

SAVE = "/_local/save"

SAVE_SECONDS = 10
"""A save takes 0.3 s. The copy inherits the locks of threads that it does not have, so one in a
great many never ends; it is killed, and the next one starts afresh."""

States = Mapping[str, Callable[[], Any]]
"""Functions that return the state of each service, or None if it was never used."""


def newest(folder: Path) -> Path | None:
    """The newest complete snapshot, if there is one."""
    numbered = [each for each in folder.glob("*") if each.name.isdigit()]
    return max(numbered, key=lambda each: int(each.name), default=None)


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make `files` the newest snapshot, and delete the older ones; files that are not named stay.

    Writes nothing if nothing has changed. Raises OSError and keeps the former snapshot if the disk
    does not take the new one.
    """
    former = newest(folder)
    kept = {each.name: each for each in former.iterdir()} if former else {}
    changed = {
        name: content
        for name, content in files.items()
        if name not in kept or kept[name].read_bytes() != content
    }
    if former and not changed:
        return
    draft = folder / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name, file in kept.items():
        if name not in changed:
            os.link(file, draft / name)
    for name, content in changed.items():
        with (draft / name).open("wb") as file_:
            file_.write(content)
            file_.flush()
            os.fsync(file_.fileno())
    number = int(former.name) + 1 if former else 1
    draft.rename(folder / str(number))
    for old in folder.glob("*"):
        if old.name != str(number):
            shutil.rmtree(old, ignore_errors=True)


class Saver:
    """Writes the emulator's state into the folder `snapshots`, once `asked` for the first time."""

    def __init__(self, snapshots: Path, states: Callable[[], States]) -> None:
        from ministack.services import lambda_svc

        self._snapshots = snapshots
        self._states = states
        self._asked = False
        # ministack deletes the code that the state no longer needs when it returns this state; the
        # former snapshot needs it until the new one is in place.
        self._prune = lambda_svc._prune_orphan_code_blobs
        self._used: list[set[str]] = []
        lambda_svc._prune_orphan_code_blobs = self._used.append

    async def ask(self) -> str:
        """Save now; returns why it failed, or nothing. Call it in the thread of the event loop."""
        self._asked = True
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            self._save_and_exit(writing)
        os.close(writing)
        why = await asyncio.to_thread(_read_to_end, reading)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        return why or ("" if status == 0 else f"the copy ended with status {status}")

    def at_the_end(self, states: States) -> None:
        """Save in place of ministack's own function at its clean end."""
        if self._asked:
            self._save(states)

    def _save_and_exit(self, writing: int) -> None:
        """Save in the copy, which must never go on as the emulator."""
        status = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
                signal.signal(number, signal.SIG_DFL)
            signal.alarm(SAVE_SECONDS)
            self._save(self._states())
            status = 0
        except OSError as error:
            os.write(writing, (error.strerror or str(error)).encode())
        except BaseException as error:
            os.write(writing, repr(error).encode())
        finally:
            os._exit(status)

    def _save(self, states: States) -> None:
        write(self._snapshots, dict(_files(states)))
        for used in self._used[-1:]:
            self._prune(used)
        self._used.clear()


def _files(states: States) -> Iterable[tuple[str, bytes]]:
    """The state of each service in the file that ministack reads at its start."""
    from ministack.core import persistence

    for name, state in states.items():
        if (payload := state()) is not None:
            version = persistence._state_format_version(name)
            whole = {"__ministack_format__": version, "payload": payload}
            yield f"{name}.json", json.dumps(whole, default=persistence._json_default).encode()


def _read_to_end(pipe: int) -> str:
    with os.fdopen(pipe, "rb") as opened:
        return opened.read().decode(errors="replace")


def main(snapshots: Path) -> None:
    """Serve from the newest snapshot. uvicorn takes half of the CPU of ministack's own server."""
    import uvicorn
    from ministack import app as ministack
    from ministack.core import persistence
    from ministack.services import lambda_svc  # noqa: F401 - keeps its code in STATE_DIR itself

    if latest := newest(snapshots):
        persistence.STATE_DIR = str(latest)
    saver = Saver(snapshots, ministack._build_persistence_save_dict)
    ministack.save_all = saver.at_the_end
    emulate = ministack.app

    async def app(
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        if (scope["type"], scope.get("method"), scope.get("path")) != ("http", "POST", SAVE):
            await emulate(scope, receive, send)
            return
        why = await saver.ask()
        status = 500 if why else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": why.encode()})

    with contextlib.suppress(ValueError, OSError):  # macOS has a limit that it does not take back.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvicorn.run(
        app,
        host=os.environ["BIND_HOST"],
        port=int(os.environ["GATEWAY_PORT"]),
        http="httptools",
        loop="uvloop",
        log_level="warning",
        access_log=False,
        date_header=False,  # ministack gives its own.
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main(Path(sys.argv.pop(1)))
