"""The local stack's settings, from the environment: ports, state folder, workers, parameters."""

import errno
import itertools
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

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
    overrides: dict[str, str] = field(default_factory=dict)
    """Parameters of the template that the environment sets; its defaults apply to the others."""

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
            },
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
        record.write_text(f"{self.cloud_port}\n")

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


def whole_number(
    environment: Mapping[str, str], variable: str, default: int, maximum: int, minimum: int = 1
) -> int:
    """The number in a variable; raises StackError if it is not from `minimum` to `maximum`."""
    text = environment.get(variable) or str(default)
    if not (text.isascii() and text.isdigit() and minimum <= int(text) <= maximum):
        raise StackError(f"{variable}={text} is not a whole number from {minimum} to {maximum}.")
    return int(text)


def _switch(environment: Mapping[str, str], variable: str) -> bool:
    text = environment.get(variable) or "false"
    if text not in ("true", "false"):
        raise StackError(f"{variable}={text} is neither true nor false.")
    return text == "true"
