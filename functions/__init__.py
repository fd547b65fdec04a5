"""The Lambda functions, one package each. They take HTTP or an event, and call the library."""

import gc
import os

# A cold start is mostly imports. Each number is the share of a process's time that remains with
# the change: the median of 12 to 15 pairs of runs on one noisy machine.

# 0.96: Pydantic searches every installed package's metadata for plugins, and there are none.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

# 0.93: imports create objects that stay, so there is no garbage to collect.
# `clickbait.web.app.lambda_handler` turns collection on again.
gc.disable()

# 0.85: FastAPI has dozens of models that only an OpenAPI document needs. With this they are built
# on first use. Pydantic's `defer_build` is for one model at a time, and its default has a private
# name: a test fails if that name changes.
from pydantic._internal import _config  # noqa: E402 - reads the variable above

_config.config_defaults["defer_build"] = True
