"""The admin function: models, trainings, data, corrections and monitoring."""

from functions import lean_fastapi  # noqa: F401 - before any import of FastAPI
