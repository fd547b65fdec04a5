"""Makes FastAPI quicker to import: import this before it.

FastAPI has dozens of models that only an OpenAPI document needs. This setting builds them on first
use, and a cold start takes 0.85 of the time. Pydantic's `defer_build` is for one model at a time,
and its default has a private name. A test fails if that name changes.
"""

from pydantic._internal import _config

_config.config_defaults["defer_build"] = True
