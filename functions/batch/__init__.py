"""The function for many images: a few in one request, or thousands in a batch."""

from functions import lean_fastapi  # noqa: F401 - before any import of FastAPI
