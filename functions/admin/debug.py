"""Versions, settings and recent requests of this process, for finding faults."""

import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter
from fastapi.responses import Response

from clickbait import VERSION
from clickbait.settings import settings
from clickbait.web.access import PROTECTED, Admin
from clickbait.web.app import RequestMiddleware, documented, json_response

router = APIRouter()

LIBRARIES = (
    "ai-edge-litert",
    "aws-lambda-powertools",
    "boto3",
    "fastapi",
    "mangum",
    "numpy",
    "pillow",
    "pydantic",
    "starlette",
)


@router.get(
    "/debug",
    summary="Versions, settings and recent requests",
    responses=documented("Debug", *PROTECTED),
)
def debug(_: Admin) -> Response:
    """Shows one process of possibly many. It shows no secret, because the setting of the admin
    token is only the name of its secret."""
    config = settings()
    path = config.model_path
    return json_response(
        {
            "versions": {
                "service": VERSION,
                "python": platform.python_version(),
                "machine": platform.machine(),
                **{name: _installed(name) for name in LIBRARIES},
            },
            "settings": asdict(config) | {"model_path": path and str(path)},
            "recent_requests": list(reversed(RequestMiddleware.recent)),
        }
    )


def _installed(name: str) -> str | None:
    """A library's version; None if the trimmed layer lacks its metadata."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
