"""The Lambda functions, one package each. They handle HTTP requests or events."""

import gc
import os

# A cold start is mostly imports. Each number is the time to start with the change, as a share of
# that without it: the median of 12 to 15 pairs of runs on one noisy machine.

# 0.96: otherwise Pydantic searches the metadata of every installed package for plugins.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

# 0.93: imports create objects that stay, so they leave no garbage.
# `clickbait.web.app.lambda_handler` turns collection on again.
gc.disable()

# 0.85: FastAPI has dozens of models that only an OpenAPI document needs. This setting builds them
# on first use. Pydantic's `defer_build` is for one model at a time, and its default has a private
# name. A test fails if that name changes.
from pydantic._internal import _config  # noqa: E402 - reads the variable above

_config.config_defaults["defer_build"] = True
