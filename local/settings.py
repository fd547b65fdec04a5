"""The local stack's settings, from the environment: ports, state folder, workers, parameters."""

import errno
import itertools
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ops import StackError, state_dir

HOST = "127.0.0.1"
"""The emulator accepts every caller, so everything here listens on loopback only."""

REGION = "us-east-1"

ACCESS = "private"
"""The default on AWS: protected routes need the admin token, which is in a file here."""

MAX_WORKERS = 64
"""Each worker is a process of about 150 MB; the emulator's own thread pool has 64."""

MAX_QUIET_PERIOD = 900
"""Seconds; the longest delay of an SQS message."""

MAX_MIN_NEW_IMAGES = 100_000

FORMER_STACK_SECONDS = 5.0
"""After `make up` is killed, the emulator needs 2 s to save its state and free the ports."""


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
    quiet_period: int | None = None
    min_new_images: int | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Raises StackError, naming the variable, if a value is invalid."""
        site = "SITE_PORT" if environment.get("SITE_PORT") else "DASHBOARD_PORT"
        return cls(
            api_port=_number(environment, "API_PORT", 8000, 65_535),
            site_port=_number(environment, site, 8080, 65_535),
            cloud_port=_number(environment, "CLOUD_PORT", 4566, 65_535),
            state_dir=state_dir(environment),
            workers=_number(environment, "LOCAL_WORKERS", 2, MAX_WORKERS),
            auth=_switch(environment, "LOCAL_AUTH"),
            quiet_period=_optional_number(environment, "QUIET_PERIOD", MAX_QUIET_PERIOD, minimum=0),
            min_new_images=_optional_number(environment, "MIN_NEW_IMAGES", MAX_MIN_NEW_IMAGES),
        )

    @property
    def parameters(self) -> dict[str, str]:
        """The template's parameters that differ from their defaults."""
        given = {"QuietPeriod": self.quiet_period, "MinNewImages": self.min_new_images}
        return {
            "AllowedOrigins": f"{self.site_url},http://localhost:{self.site_port}",
            "Access": ACCESS,
        } | {name: str(value) for name, value in given.items() if value is not None}

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

    @property
    def _port_record(self) -> Path:
        return self.state_dir / "cloud-port"

    def prepare(self) -> None:
        """Check that the ports are free, and bind the state folder to its cloud port.

        The saved state contains queue addresses with the port. On another port its event sources
        would be Enabled but deliver nothing. Raises StackError if the port is not the state's, if
        a port is given twice, or if a port is in use.
        """
        ports = {
            "CLOUD_PORT": self.cloud_port,
            "API_PORT": self.api_port,
            "SITE_PORT": self.site_port,
        }
        for (one, port), (other, same) in itertools.combinations(ports.items(), 2):
            if port == same:
                raise StackError(f"{one} and {other} are both {port}; give each its own.")
        try:
            kept = self._port_record.read_text().strip()
        except FileNotFoundError:
            kept = ""
        if kept and kept != str(self.cloud_port):
            raise StackError(
                f"The state in {self.state_dir} belongs to CLOUD_PORT={kept}, not "
                f"{self.cloud_port}: start it with that, name another STATE_DIR, or delete the "
                f"folder to start afresh."
            )
        patience = FORMER_STACK_SECONDS if kept and self._ended_badly() else 0.0
        for variable, port in ports.items():
            check_port(variable, port, patience)
        for folder in (self.state_dir, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        self._port_record.write_text(f"{self.cloud_port}\n")

    def _ended_badly(self) -> bool:
        """Whether the last stack was killed: a stack that stops removes its `stack.json`."""
        return self.description.exists()

    @property
    def description(self) -> Path:
        """The file with the addresses and outputs of the running stack, for scripts."""
        return self.state_dir / "stack.json"

    @property
    def admin_token(self) -> Path:
        """The file with the admin token, readable by its user only."""
        return self.state_dir / "admin-token"


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


def _number(
    environment: Mapping[str, str], variable: str, default: int, maximum: int, minimum: int = 1
) -> int:
    text = environment.get(variable) or str(default)
    if not (text.isascii() and text.isdigit() and minimum <= int(text) <= maximum):
        raise StackError(f"{variable}={text} is not a whole number from {minimum} to {maximum}.")
    return int(text)


def _optional_number(
    environment: Mapping[str, str], variable: str, maximum: int, minimum: int = 1
) -> int | None:
    """None if the variable is not set, so that the template's default applies."""
    return (
        _number(environment, variable, minimum, maximum, minimum)
        if environment.get(variable)
        else None
    )


def _switch(environment: Mapping[str, str], variable: str) -> bool:
    text = environment.get(variable) or "false"
    if text not in ("true", "false"):
        raise StackError(f"{variable}={text} is neither true nor false.")
    return text == "true"
