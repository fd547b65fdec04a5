"""Connections to the local stack that `make up` runs."""

import json
from pathlib import Path
from typing import Any

import boto3
import httpx

from ops import LOCAL_KEYS


class Stack:
    """The stack with its state in `state_dir`."""

    def __init__(self, state_dir: Path) -> None:
        self.description: dict[str, Any] = json.loads((state_dir / "stack.json").read_text())
        self.outputs: dict[str, str] = self.description["outputs"]
        self._token = (state_dir / "admin-token").read_text().strip()

    def cloud(self, service: str) -> Any:
        """A boto3 client of the emulator."""
        keys = {name.lower(): value for name, value in LOCAL_KEYS.items()}
        return boto3.client(
            service,
            endpoint_url=self.description["cloud_url"],
            region_name=self.description["region"],
            **keys,
        )

    def api(self) -> httpx.Client:
        """A client of the API with the admin token."""
        return httpx.Client(
            base_url=self.description["api_url"],
            headers={"authorization": f"Bearer {self._token}"},
            trust_env=False,
            timeout=60,
        )
