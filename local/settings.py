"""The local stack's settings, from the environment: ports, state folder, workers, parameters."""

import contextlib
import errno
import fcntl
import itertools
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import IO, Self

from clickbait.settings import Settings, SettingsError
from ops import StackError, state_dir

HOST = "127.0.0.1"
"""The emulator accepts every caller, so everything here listens on loopback only."""

REGION = "us-east-1"

ACCESS = "private"
"""The default on AWS: protected routes need the admin token, which is in a file here."""

MAX_WORKERS = 64  # Each worker is a process of about 150 MB; the emulator's own thread pool has 64.

PARAMETERS = (
    ("QuietPeriod", "QUIET_PERIOD", 0, 900),  # Seconds; 900 is the longest delay of an SQS message.
    ("MinNewImages", "MIN_NEW_IMAGES", 1, 100_000),
    ("KeepUnsure", "KEEP_UNSURE", 0, 1_000),
)
"""The template's parameters that a variable sets, with their least and greatest value."""
SWITCHES = (("FetchYouTube", "FETCH_YOUTUBE"),)
"""Those that a variable turns on or off."""

OF_FUNCTIONS = ("DEBUG_MODE", "MAX_UPLOAD_SIZE")
"""The functions' own variables that a user may set; a stray one of another name is ignored."""

FORMER_STACK_SECONDS = 20.0
"""After `make up` is killed, the emulator needs 2 s to save its state and free the ports; on a busy
machine it may take all of its SAVE_SECONDS."""

STATE_FORMAT = 2
"""Of the state folder; 1 had no snapshots and no record of its format, and can still be read."""


@dataclass(frozen=True)
class StackSettings:
    """The settings of one local stack."""

    api_port: int
    site_port: int
    cloud_port: int
    state_dir: Path
    workers: int
    auth: bool = False
    """Whether the emulator enforces the roles of functions and jobs."""
    overrides: dict[str, str] = field(default_factory=dict)
    """Parameters of the template that the environment sets; its defaults apply to the others."""
    of_functions: dict[str, str] = field(default_factory=dict)
    """Variables of every function."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Raises StackError, naming the variable, if a value is invalid."""
        site = "SITE_PORT" if environment.get("SITE_PORT") else "DASHBOARD_PORT"
        return cls(
            api_port=whole_number(environment, "API_PORT", 8000, 65_535),
            site_port=whole_number(environment, site, 8080, 65_535),
            cloud_port=whole_number(environment, "CLOUD_PORT", 4566, 65_535),
            state_dir=state_dir(environment),
            workers=whole_number(environment, "LOCAL_WORKERS", 2, MAX_WORKERS),
            auth=_switch(environment, "LOCAL_AUTH"),
            overrides={
                parameter: str(whole_number(environment, variable, least, most, least))
                for parameter, variable, least, most in PARAMETERS
                if environment.get(variable)
            }
            | {
                parameter: "true" if _switch(environment, variable) else "false"
                for parameter, variable in SWITCHES
                if environment.get(variable)
            },
            of_functions=_of_functions(environment),
        )

    @property
    def parameters(self) -> dict[str, str]:
        """The template's parameters that differ from their defaults."""
        origins = f"{self.site_url},http://localhost:{self.site_port}"
        return {"AllowedOrigins": origins, "Access": ACCESS} | self.overrides

    @property
    def api_url(self) -> str:
        return f"http://{HOST}:{self.api_port}"

    @property
    def site_url(self) -> str:
        return f"http://{HOST}:{self.site_port}"

    @property
    def cloud_url(self) -> str:
        return f"http://{HOST}:{self.cloud_port}"

    @property
    def logs(self) -> Path:
        return self.state_dir / "logs"

    @property
    def functions_log(self) -> Path:
        """The output of the functions."""
        return self.logs / "functions.log"

    def prepare(self) -> IO[str]:
        """Check the ports, take the state folder, and bind it to its cloud port.

        The folder is taken as long as the returned file is open, here or in the emulator. The saved
        state contains queue addresses with the port. On another port its event sources would be
        Enabled but deliver nothing. Raises StackError if the folder cannot be used, is taken, or is
        of a newer version; if the port is not the state's; if a port is given twice or in use.
        """
        try:
            with contextlib.ExitStack() as opened:
                lock = self._prepare(opened)
                opened.pop_all()
                return lock
        except OSError as error:
            raise StackError(
                f"STATE_DIR={self.state_dir} cannot be used: {error.strerror}."
            ) from error

    def _prepare(self, opened: contextlib.ExitStack) -> IO[str]:
        lock = self._take(opened) if self.state_dir.is_dir() else None
        ports = {
            "CLOUD_PORT": self.cloud_port,
            "API_PORT": self.api_port,
            "SITE_PORT": self.site_port,
        }
        for (one, port), (other, same) in itertools.combinations(ports.items(), 2):
            if port == same:
                raise StackError(f"{one} and {other} are both {port}; give each its own.")
        self._check_version()
        record = self.state_dir / "cloud-port"
        kept = record.read_text().strip() if record.exists() else ""
        if kept and kept != str(self.cloud_port):
            raise StackError(
                f"The state in {self.state_dir} belongs to CLOUD_PORT={kept}, not "
                f"{self.cloud_port}: start it with that, name another STATE_DIR, or delete the "
                f"folder to start afresh."
            )
        # A stack that stops removes its `stack.json`, so the last one was killed if it is there.
        patience = FORMER_STACK_SECONDS if kept and self.description.exists() else 0.0
        for variable, port in ports.items():
            check_port(variable, port, patience)
        for folder in (self.state_dir, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        lock = lock or self._take(opened)
        _write(record, f"{self.cloud_port}\n")
        _write(self._version, f"{STATE_FORMAT} ministack {version('ministack')}\n")
        return lock

    def _take(self, opened: contextlib.ExitStack) -> IO[str]:
        """Lock the folder. Wait for the emulator of a killed stack, which may still save."""
        file = opened.enter_context((self.state_dir / "lock").open("a+"))
        until = time.monotonic() + FORMER_STACK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                file.seek(0)
                holder = file.read().strip()
                if _runs(holder) or time.monotonic() >= until:
                    raise StackError(
                        f"A stack already runs in {self.state_dir} (process {holder}): stop it, or "
                        f"name another STATE_DIR."
                    ) from error
            time.sleep(0.1)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        return file

    def _check_version(self) -> None:
        """Raise StackError if a newer version wrote the state."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            text = self._version.read_text().strip()
            number, _, release = text.partition(" ministack ")
            mine = version("ministack")
            try:
                newer = int(number) > STATE_FORMAT or _release(release) > _release(mine)
            except ValueError:
                newer = True
            if newer:
                raise StackError(
                    f"The state in {self.state_dir} is of another version ({text!r}; this is "
                    f"{STATE_FORMAT} ministack {mine}): use that version, name another STATE_DIR, "
                    f"or delete the folder to start afresh."
                )

    @property
    def _version(self) -> Path:
        """The file with the format of the state and the emulator's release."""
        return self.state_dir / "version"

    @property
    def description(self) -> Path:
        """The file with the addresses and outputs of the running stack, for scripts."""
        return self.state_dir / "stack.json"

    @property
    def admin_token(self) -> Path:
        """The file with the admin token, readable by its user only."""
        return self.state_dir / "admin-token"


def _write(file: Path, text: str) -> None:
    """Write a file if it changes, all at once: a kill or a full disk leaves it whole."""
    if not file.exists() or file.read_text() != text:
        draft = file.with_suffix(".part")
        draft.write_text(text)
        draft.replace(file)


def _runs(process: str) -> bool:
    """Whether the process with this id runs; it may be another user's."""
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def check_port(variable: str, port: int, patience: float = 0.0) -> None:
    """Raise StackError if `port` is still in use after `patience` seconds."""
    until = time.monotonic() + patience
    while True:
        try:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((HOST, port))
            return
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise StackError(f"{variable}={port} cannot be used: {error.strerror}.") from error
            if time.monotonic() >= until:
                raise StackError(
                    f"Port {port} is in use; stop what listens there, or set {variable} to another."
                ) from error
        time.sleep(0.1)


def whole_number(
    environment: Mapping[str, str], variable: str, default: int, maximum: int, minimum: int = 1
) -> int:
    """The number in a variable; raises StackError if it is not from `minimum` to `maximum`."""
    text = environment.get(variable) or str(default)
    if not (text.isascii() and text.isdigit() and minimum <= int(text) <= maximum):
        raise StackError(f"{variable}={text} is not a whole number from {minimum} to {maximum}.")
    return int(text)


def _of_functions(environment: Mapping[str, str]) -> dict[str, str]:
    """Those of OF_FUNCTIONS that are set; raises StackError if the functions would refuse one."""
    given = {name: environment[name] for name in OF_FUNCTIONS if environment.get(name)}
    try:
        Settings.from_environment(given)
    except SettingsError as error:
        raise StackError(f"{error}.") from error
    return given


def _switch(environment: Mapping[str, str], variable: str) -> bool:
    text = environment.get(variable) or "false"
    if text not in ("true", "false"):
        raise StackError(f"{variable}={text} is neither true nor false.")
    return text == "true"
