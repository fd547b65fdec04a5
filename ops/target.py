"""Which stack, region and profile a deployment is for: what `sam deploy` itself would choose."""

import itertools
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops import StackError

SAM_CONFIGURATION = "samconfig.toml"

STACK_NAME = re.compile(r"[a-z][a-z0-9-]{2,27}")
"""A bucket is named `<stack>-models-<account>-<region>`, in lower case and 63 characters at most. A
region has up to 14 characters and an account 12, which leaves 28."""


@dataclass(frozen=True)
class Target:
    """Where a deployment goes; None leaves the choice to the AWS configuration."""

    stack: str
    region: str | None = None
    profile: str | None = None

    @property
    def account_options(self) -> list[str]:
        """The options of `sam` and `aws` for the same account and region."""
        given = {"--region": self.region, "--profile": self.profile}
        return [word for flag, value in given.items() if value for word in (flag, value)]


def read(root: Path, options: Sequence[str]) -> Target:
    """The target of `sam deploy` with `options` in the folder `root`.

    The options come first, then the parameters of sam's configuration file: `--config-file` (or
    `samconfig.toml`) and `--config-env` (or `default`). Raises StackError for a configuration that
    cannot be read, and for a stack name that the names of buckets cannot hold.
    """
    given = _given(options)
    configured = _configured(root, given.get("config-file"), given.get("config-env", "default"))

    def value(name: str) -> str | None:
        found = given.get(name) or configured.get(name.replace("-", "_"))
        return str(found) if found else None

    stack = value("stack-name")
    if stack is None:
        raise StackError("no stack is named: give --stack-name, or stack_name in samconfig.toml")
    if not STACK_NAME.fullmatch(stack):
        raise StackError(
            f"the stack name {stack!r} does not fit: use 3 to 28 lower-case letters, digits and "
            "hyphens, the first a letter. The names of buckets begin with it, and they have no "
            "capitals and 63 characters at most"
        )
    return Target(stack, value("region"), value("profile"))


def tags(root: Path, options: Sequence[str]) -> list[str]:
    """The option that tags every resource by project and stack, for the bill; none if the options
    or the configuration name tags."""
    given = _given(options)
    configured = _configured(root, given.get("config-file"), given.get("config-env", "default"))
    if "tags" in given or "tags" in configured:
        return []
    return ["--tags", f"project=clickbait-classifier stack={read(root, options).stack}"]


def _given(options: Sequence[str]) -> dict[str, str]:
    """The value of each option: `--name value` and `--name=value`; the last one counts."""
    found: dict[str, str] = {}
    for option, following in itertools.pairwise([*options, ""]):
        if option.startswith("--"):
            name, equals, value = option.removeprefix("--").partition("=")
            found[name] = value if equals else following
    return found


def _configured(root: Path, file: str | None, environment: str) -> dict[str, Any]:
    """The parameters of sam's configuration that concern `sam deploy`."""
    path = root / (file or SAM_CONFIGURATION)
    if file is None and not path.exists():
        return {}
    try:
        text = path.read_text("utf-8")
        if path.suffix in (".yaml", ".yml"):
            import yaml  # type: ignore[import-untyped]  # sam-cli depends on it

            document = yaml.safe_load(text)
        else:
            document = tomllib.loads(text)
        sections = document.get(environment, {})
        return {
            **sections.get("global", {}).get("parameters", {}),
            **sections.get("deploy", {}).get("parameters", {}),
        }
    except (OSError, ValueError, AttributeError) as error:
        raise StackError(f"{path.name} cannot be read: {error}") from error
