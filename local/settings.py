"""How the local stack runs, from the environment: ports, state folder, workers, parameters."""

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
"""The emulator lets anybody in who reaches it, so nothing here listens beyond loopback."""

REGION = "us-east-1"

ACCESS = "private"
"""As on AWS by default: what is not for anybody asks for the token, which is in a file here."""

WORKERS_MOST = 64
"""Each worker is a process of about 150 MB; the emulator's own thread pool has 64."""

QUIET_PERIOD_MOST = 900
"""Seconds that a message can wait in SQS."""

MIN_NEW_IMAGES_MOST = 100_000

FORMER_STACK_SECONDS = 5.0
"""A stack whose `make up` was killed still writes its state down for 2 s, on its own ports."""


@dataclass(frozen=True)
class StackSettings:
    """What tells one local stack from another."""

    api_port: int
    site_port: int
    cloud_port: int
    state_dir: Path
    workers: int
    auth: bool = False
    """Whether functions and jobs may only do what their roles allow."""
    quiet_period: int | None = None
    min_new_images: int | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Raises StackError, naming the variable, for a value that cannot be meant."""
        site = "SITE_PORT" if environment.get("SITE_PORT") else "DASHBOARD_PORT"
        return cls(
            api_port=_number(environment, "API_PORT", 8000, 65_535),
            site_port=_number(environment, site, 8080, 65_535),
            cloud_port=_number(environment, "CLOUD_PORT", 4566, 65_535),
            state_dir=state_dir(environment),
            workers=_number(environment, "LOCAL_WORKERS", 2, WORKERS_MOST),
            auth=_switch(environment, "LOCAL_AUTH"),
            quiet_period=_maybe(environment, "QUIET_PERIOD", QUIET_PERIOD_MOST, least=0),
            min_new_images=_maybe(environment, "MIN_NEW_IMAGES", MIN_NEW_IMAGES_MOST),
        )

    @property
    def parameters(self) -> dict[str, str]:
        """The template's parameters that are not as by default."""
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
        """What the functions print."""
        return self.logs / "functions.log"

    @property
    def _port_record(self) -> Path:
        return self.state_dir / "cloud-port"

    def claim(self) -> None:
        """Check what has to be free, and bind the state folder to its cloud port.

        A kept state holds queue addresses with the port in them: at another port its event sources
        would say Enabled and deliver nothing. Raises StackError for another port than the state's,
        one port given twice, or a port in use.
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
                f"folder to begin anew."
            )
        patience = FORMER_STACK_SECONDS if kept and self._ended_badly() else 0.0
        for variable, port in ports.items():
            check_port(variable, port, patience)
        for folder in (self.state_dir, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        self._port_record.write_text(f"{self.cloud_port}\n")

    def _ended_badly(self) -> bool:
        """A stack that was stopped took its `stack.json` away; one that was killed did not."""
        return self.description.exists()

    @property
    def description(self) -> Path:
        """The file for scripts: addresses and outputs of the running stack."""
        return self.state_dir / "stack.json"

    @property
    def admin_token(self) -> Path:
        """The file with the admin's token, for its user alone."""
        return self.state_dir / "admin-token"


def check_port(variable: str, port: int, patience: float = 0.0) -> None:
    """Raise StackError where `port` is still taken after `patience` seconds."""
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
    environment: Mapping[str, str], variable: str, default: int, most: int, least: int = 1
) -> int:
    text = environment.get(variable) or str(default)
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise StackError(f"{variable}={text} is not a whole number from {least} to {most}.")
    return int(text)


def _maybe(environment: Mapping[str, str], variable: str, most: int, least: int = 1) -> int | None:
    """None where it is not set: the template's default holds."""
    return _number(environment, variable, least, most, least) if environment.get(variable) else None


def _switch(environment: Mapping[str, str], variable: str) -> bool:
    text = environment.get(variable) or "false"
    if text not in ("true", "false"):
        raise StackError(f"{variable}={text} is neither true nor false.")
    return text == "true"
