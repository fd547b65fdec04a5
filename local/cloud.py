"""The emulator as a child process that keeps its state and leaves nothing running.

Its state is saved every SAVE_EVERY_SECONDS while the stack serves. So `kill -9` and power cuts lose
at most the last LOSS_SECONDS: messages, table rows, metrics and log lines. They lose no S3 object:
images, versions, the champion and promotions are on disk before the answer.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any

from local import emulator
from local.guard import die_with_parent
from local.settings import HOST, REGION, StackSettings
from local.template import ARTEFACTS_BUCKET
from ops import StackError, emulator_client

START_SECONDS = 120.0  # A start takes 0.3 s on an idle machine, and many times that on a busy one.

SAVE_EVERY_SECONDS = 2.0
"""A save takes 0.3 s on two busy cores, in another process, and writes only what has changed."""

LOSS_SECONDS = 5.0
"""The interval, the time that a save takes on a busy machine, and some room."""

STOP_SECONDS = 20.0
"""Saving the state takes about 2 s. An emulator that hangs is killed and keeps its old state."""

INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TZ")
"""The only variables that the emulator and its functions inherit: a stray MODEL_PATH or AWS_PROFILE
must not reach them."""


class Cloud:
    """ministack on loopback, with its state in `state_dir/cloud`.

    `batch_url` is the address of AWS Batch for the functions. The emulator keeps the file `lock`
    open until it has saved its state.
    """

    def __init__(
        self, settings: StackSettings, batch_url: str, lock: IO[str] | None = None
    ) -> None:
        self.settings = settings
        self.batch_url = batch_url
        self._lock = lock
        self.log = settings.logs / "cloud.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: dict[str, Any] = {}

    def start(self) -> None:
        """Start the process; call `wait` before using it.

        Call this from the main thread. The process ends with the thread that started it, even if
        that is killed, and then saves its state.
        """
        folder = self.settings.state_dir / "cloud"
        temporary = folder / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)  # Left by a stack that was killed.
        temporary.mkdir(parents=True)
        snapshots = folder / "snapshots"
        if (
            not emulator.newest(snapshots)
            and not (folder / "state" / "cloudformation.json").exists()
        ):
            _set_aside(folder / "s3")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", emulator.__file__, str(snapshots)],
                cwd=folder,
                env=self._environment(folder, temporary),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[self._lock.fileno()] if self._lock else [],
                preexec_fn=die_with_parent,  # noqa: PLW1509 - no thread runs yet
            )

    def wait(self) -> None:
        """Return when the emulator answers; raise StackError if it does not."""
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            if not self.alive:
                raise StackError(f"The emulator did not start; see {self.log}.")
            if time.monotonic() > until:
                raise StackError(
                    f"The emulator did not answer in {START_SECONDS:.0f} s; see {self.log}."
                )
            time.sleep(0.02)

    def save(self) -> None:
        """Save the state; raise StackError if that fails, and keep the former one."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        url = f"{self.settings.cloud_url}{emulator.SAVE}"
        try:
            opener.open(url, data=b"", timeout=2 * emulator.SAVE_SECONDS).close()
        except urllib.error.HTTPError as error:
            why = error.read().decode(errors="replace")
            raise StackError(
                f"{self.settings.state_dir} does not take the state: {why}."
            ) from error
        except OSError as error:
            raise StackError(f"The emulator did not save its state: {error}.") from error

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End the emulator, which then saves its state; kill it after STOP_SECONDS."""
        if self._process is None:
            return
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        # The emulator has a session of its own, so this kills leftover workers and nothing else.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def client(self, service: str) -> Any:
        """A boto3 client of one service with root's keys, which allow everything."""
        if service not in self._clients:
            self._clients[service] = emulator_client(service, self.settings.cloud_url, REGION)
        return self._clients[service]

    def _answers(self) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.settings.cloud_url}/_ministack/health", timeout=10) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _environment(self, folder: Path, temporary: Path) -> dict[str, str]:
        return {name: os.environ[name] for name in INHERITED if name in os.environ} | {
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(self.settings.cloud_port),
            "MINISTACK_HOST": HOST,
            "MINISTACK_REGION": REGION,
            "PERSIST_STATE": "1",
            "STATE_DIR": str(folder / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(folder / "s3"),
            "TMPDIR": str(temporary),
            "AWS_ENDPOINT_URL_BATCH": self.batch_url,
            "AUTH": "true" if self.settings.auth else "false",
            # These listen on fixed ports, which two stacks side by side would both need.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        }


def _set_aside(objects: Path) -> None:
    """Move objects away that no saved stack owns: its buckets could not be created again.

    A first start that was killed leaves only artefacts. Stacks of older versions saved nothing when
    they were killed, and their objects may be a user's: they are kept beside the new ones.
    """
    buckets = [each for each in objects.glob("*/*") if each.parent.name.isdigit()]
    others = [each for each in buckets if each.name != ARTEFACTS_BUCKET]
    if any(file.is_file() for bucket in others for file in bucket.rglob("*")):
        kept = objects.with_name(f"s3-of-{time.strftime('%Y%m%dT%H%M%S')}")
        objects.rename(kept)
        print(f"the former stack was killed before it saved its state; its objects are in {kept}")
    else:
        shutil.rmtree(objects, ignore_errors=True)
