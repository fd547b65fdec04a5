"""Ask a service that was just deployed whether it works."""

import json
from typing import Any

import urllib3
from urllib3.util import Retry

from ops import StackError

RETRY = Retry(6, backoff_factor=1, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None)
"""A cold start, or a route that API Gateway does not know yet, passes within half a minute."""

SECONDS = 30.0
"""After this API Gateway itself has given up."""


def check(api: str, sample: bytes) -> None:
    """Ask /status, /system-check and /predict of the API at `api`; `sample` is a JPEG.

    Raises StackError, naming the route and its answer, if one of them is not well.
    """
    with urllib3.PoolManager(retries=RETRY, timeout=SECONDS) as http:
        _ask(http, "GET", f"{api}/status")
        checks = _ask(http, "GET", f"{api}/system-check")
        broken = [f"{it['name']}: {it['detail']}" for it in checks["checks"] if not it["ok"]]
        if broken:
            raise StackError(f"the service is deployed, but not well: {'; '.join(broken)}")
        answer = _ask(http, "POST", f"{api}/predict", sample)
        if answer is not None and not 0 <= answer["probability"] <= 1:
            raise StackError(f"the service is deployed, but /predict answered {answer}")


def _ask(http: urllib3.PoolManager, method: str, url: str, image: bytes | None = None) -> Any:
    headers = {"Content-Type": "image/jpeg"} if image else {}
    try:
        answer = http.request(method, url, body=image, headers=headers)
        if answer.status == 200:
            return answer.json()
        if answer.status == 401 and url.endswith("/predict"):
            return None  # PredictAccess is keys, and the hook of predict has asked with the token.
        found = f"{answer.status}: {answer.data[:300].decode(errors='replace')}"
    except (urllib3.exceptions.HTTPError, json.JSONDecodeError) as error:
        found = str(error)
    raise StackError(f"the service is deployed, but {method} {url} failed: {found}")
