"""`make serve`: the API in one uvicorn server with N workers; no emulator and no AWS."""

import os
import sys

import uvicorn

from clickbait.errors import Problem
from clickbait.live import LiveModel
from clickbait.settings import SettingsError, settings


def number(names: tuple[str, ...], default: int, most: int) -> int:
    """The first variable of `names` that is set; exits in one line where it is not 1 to `most`."""
    name, value = next(
        ((n, os.environ[n]) for n in names if os.environ.get(n)), (names[0], str(default))
    )
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= most:
        sys.exit(f"{name}={value!r} is not a whole number from 1 to {most}")
    return int(value)


def main() -> None:
    """Check settings and model once, each told in one line where wrong; then serve."""
    host = os.environ.get("HOST") or os.environ.get("API_HOST") or "127.0.0.1"
    port = number(("PORT", "API_PORT"), 8000, 65_535)
    workers = number(("WORKERS",), os.cpu_count() or 1, 256)
    try:
        config = settings()
        if not config.models_bucket:
            LiveModel(config.model_folder).current()
    except (SettingsError, Problem) as error:
        sys.exit(str(error))
    print(
        f"serving on http://{host}:{port}, {workers} workers; /status says when ready", flush=True
    )
    uvicorn.run(
        "functions.predict.app:app",
        host=host,
        port=port,
        workers=workers,
        access_log=False,  # DEBUG_MODE logs each request itself, with its id
        log_level="warning",
        timeout_keep_alive=30,
        server_header=False,
    )


if __name__ == "__main__":
    main()
