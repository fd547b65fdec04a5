"""The Lambda functions, a package each: HTTP or an event in, one call to the library, HTTP out."""

import gc
import os

# A cold start is mostly imports. What each of these leaves of their time was measured in turn with
# the other way on one noisy machine (ratios of whole processes, medians of 12 to 15 pairs).

# 0.96: Pydantic looks for plugins in every installed package's metadata, and there are none.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

# 0.93: all that importing makes stays for good, so there is no garbage to look for in it.
# `clickbait.web.app.lambda_handler` turns collection on again.
gc.disable()

# 0.85: FastAPI has dozens of models that only an OpenAPI document needs; with this they are built
# when they are first used. Pydantic has `defer_build` for one model at a time, and only a private
# name for its default: a test tells when that moves.
from pydantic._internal import _config  # noqa: E402 - reads the variable above

_config.config_defaults["defer_build"] = True
