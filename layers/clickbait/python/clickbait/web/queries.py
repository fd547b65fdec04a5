"""Parameters in the queries of several functions."""

from typing import Annotated

from fastapi import Query

from clickbait.settings import THRESHOLDS

Threshold = Annotated[
    float | None,
    Query(
        ge=THRESHOLDS[0],
        le=THRESHOLDS[1],
        description="for this request only: from this probability on it is clickbait",
    ),
]
"""A threshold in the query of a route that predicts. `functions.predict` reads its own, because it
starts without FastAPI."""
