"""The built page on the same address as the API, for a container that has one port.

Names of the page and of the API overlap: both have /models. A browser that opens a page asks for
HTML, and the page's own requests and other clients do not. So HTML distinguishes them.
"""

import os
import re
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from clickbait.settings import settings
from local.site import Headers, Site
from ops import pages

NEEDS = {
    "/": "/predict",
    "/classify": "/predict",
    "/batch": "/batches",
    "/history": "/predictions",
    "/review": "/review",
    "/data": "/dataset",
    "/models": "/models",
    "/monitoring": "/predictions",
    "/keys": "/keys",
}
"""The pages, each with the route of the API that it cannot do without."""

FILE = re.compile(r"/(assets/.*|[^/]*\.[^/]*)")
"""The addresses of files, as in template.yaml's function for CloudFront."""

STACK = "serve"


class WithPage:
    """ASGI middleware that answers with the page where a browser wants it, else with `app`."""

    def __init__(self, app: ASGIApp, folder: Path, offered: Collection[str]) -> None:
        """`offered` are the paths of the API's routes.

        Raises StackError if `folder` has no built page.
        """
        files = pages.read(folder)
        shown = [page for page, route in NEEDS.items() if route in offered]
        files[pages.CONFIG] = pages.config(
            "/", settings().access, STACK, shown, settings().predict_access
        )
        self._files = frozenset(f"/{name}" for name in files)
        self.app, self._site = app, Site(files, headers(), FILE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_page = scope["type"] == "http" and self._is_page(scope)
        await (self._site if is_page else self.app)(scope, receive, send)

    def _is_page(self, scope: Scope) -> bool:
        path = scope["path"]
        if scope["method"] not in ("GET", "HEAD"):
            return False
        if path in self._files or path.startswith("/assets/"):
            return True
        accepts = dict(scope["headers"]).get(b"accept", b"")
        return b"text/html" in accepts and f"/{path.split('/')[1]}" in NEEDS


def headers() -> Headers:
    """The security headers of the page. It reads and writes images in buckets by signed links."""
    emulated = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    parts = urlsplit(emulated)
    buckets = "https:" + (f" {parts.scheme}://{parts.netloc}" if emulated else "")
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        f"img-src 'self' blob: data: {buckets} https://i.ytimg.com; "
        f"connect-src 'self' {buckets}; worker-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return [
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        # The address may contain the admin token.
        (b"referrer-policy", b"no-referrer"),
        # The API answers at the same address if a client does not want HTML.
        (b"vary", b"accept"),
    ]
