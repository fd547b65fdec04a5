"""The version that ships."""

import json
import math
from typing import Any

from clickbait.settings import CHECKOUT_BASELINE

METADATA: dict[str, Any] = json.loads((CHECKOUT_BASELINE / "metadata.json").read_bytes())
SIZE: int = METADATA["preprocessing"]["size"]
"""The side of its input, in pixels."""
SIDE = math.ceil(SIZE / 32)
"""Cells a side of its heat map."""
