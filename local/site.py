"""Serves the page on this machine, as S3 and CloudFront do on AWS.

The headers and the rule for addresses come from template.yaml, so the page meets the same policy
here and on AWS. The files are read once, when the stack starts: no path of a request is ever used
as a path on the disk.
"""

import gzip
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.types import Receive, Scope, Send

from local.template import of_type
from ops import StackError
from ops.pages import ASK_FIRST, INDEX, TYPES, PageFile

API_HOSTS = "https://*.execute-api.${AWS::Region}.${AWS::URLSuffix}"
BUCKET_HOSTS = "https://*.s3.${AWS::Region}.${AWS::URLSuffix}"
"""AWS's hosts in the template's policy; here each is a single address."""

FILE_RULE = re.compile(r"const FILE = /(.+)/;")
"""The line of the template's function that decides which addresses are files."""

METHODS = ("GET", "HEAD")

HEADERS_OF_304 = {b"cache-control", b"etag", b"vary"}
"""The headers that a 304 repeats from the 200 (RFC 9110, section 15.4.5)."""

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class _Variant:
    """One response to one kind of client: with gzip, without it, or an error."""

    content: bytes
    headers: Headers
    tag: bytes = b""


def _error(text: bytes, *more: tuple[bytes, bytes]) -> _Variant:
    kind = (b"content-type", TYPES[".txt"].encode())
    return _Variant(text, [kind, (b"cache-control", ASK_FIRST.encode()), *more])


MISSING = _error(b"There is no such file.\n")
READ_ONLY = _error(b"The page is only read.\n", (b"allow", ", ".join(METHODS).encode()))


class Site:
    """An ASGI application that serves the files of a page with `headers`, as CloudFront does.

    index.html answers at all addresses that do not match `rule`.
    """

    def __init__(
        self, files: Mapping[str, PageFile], headers: Headers, rule: re.Pattern[str]
    ) -> None:
        self._headers = headers
        self._rule = rule
        self._variants = {name: _variants(file) for name, file in files.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status, variant = self._respond(scope)
        body = variant.content
        headers = [*self._headers, *variant.headers, (b"content-length", str(len(body)).encode())]
        if status == 304:
            repeated = [header for header in variant.headers if header[0] in HEADERS_OF_304]
            headers = [*self._headers, *repeated]
        if status == 304 or scope["method"] == "HEAD":
            body = b""
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _respond(self, scope: Scope) -> tuple[int, _Variant]:
        """The status and the variant for a request."""
        if scope["method"] not in METHODS:
            return 405, READ_ONLY
        path = scope["raw_path"].decode("latin-1")
        name = unquote(path[1:]) if self._rule.fullmatch(path) else INDEX
        if name not in self._variants:
            return 404, MISSING
        headers = dict(scope["headers"])
        plain, compressed = self._variants[name]
        accepted = headers.get(b"accept-encoding", b"").decode("latin-1")
        variant = compressed if _takes_gzip(accepted) else plain
        is_current = _is_current(variant.tag, headers.get(b"if-none-match", b""))
        return (304 if is_current else 200), variant


def headers_of(template: Mapping[str, Any], api_url: str, cloud_url: str) -> Headers:
    """The headers of the template's policy, with this machine's addresses for AWS's hosts.

    Raises StackError for an unknown part of the policy: without its header a page could work here
    and fail on AWS.
    """
    (policy,) = of_type(template, "AWS::CloudFront::ResponseHeadersPolicy").values()
    parts = dict(policy["ResponseHeadersPolicyConfig"])
    del parts["Name"]
    headers = list(_security(parts.pop("SecurityHeadersConfig", {})))
    headers += [
        (i["Header"], i["Value"]) for i in parts.pop("CustomHeadersConfig", {}).get("Items", [])
    ]
    if parts:
        raise StackError(
            f"local/site.py does not support {', '.join(parts)} of the page's headers."
        )
    here = {API_HOSTS: api_url, BUCKET_HOSTS: cloud_url}
    return [(name.lower().encode(), _with_hosts(value, here).encode()) for name, value in headers]


def file_rule(template: Mapping[str, Any]) -> re.Pattern[str]:
    """A pattern that matches the whole path of a file; index.html answers at all other paths.

    Raises StackError if the template's function has no line with the pattern.
    """
    (function,) = of_type(template, "AWS::CloudFront::Function").values()
    found = FILE_RULE.search(function["FunctionCode"])
    if not found:
        raise StackError(f"The function of template.yaml has no line {FILE_RULE.pattern}.")
    return re.compile(found[1])


def _security(parts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The headers for CloudFront's names of them."""
    for part, of in parts.items():
        match part:
            case "ContentSecurityPolicy":
                yield "content-security-policy", of[part]
            case "ContentTypeOptions":
                yield "x-content-type-options", "nosniff"
            case "FrameOptions":
                yield "x-frame-options", of["FrameOption"]
            case "ReferrerPolicy":
                yield "referrer-policy", of[part]
            case "StrictTransportSecurity":
                below = "; includeSubDomains" if of.get("IncludeSubdomains") else ""
                listed = "; preload" if of.get("Preload") else ""
                yield (
                    "strict-transport-security",
                    f"max-age={of['AccessControlMaxAgeSec']}{below}{listed}",
                )
            case _:
                raise StackError(f"local/site.py does not support {part} of the page's headers.")


def _with_hosts(value: Any, here: Mapping[str, str]) -> str:
    text = str(value["Fn::Sub"]) if isinstance(value, Mapping) else str(value)
    for pattern, address in here.items():
        text = text.replace(pattern, address)
    if "${" in text:
        raise StackError(f"local/site.py has no local address for a host in: {text}")
    return text


def _variants(file: PageFile) -> tuple[_Variant, _Variant]:
    """The variants of a file without and with gzip; the same one twice if gzip does not help."""
    compressed = gzip.compress(file.content, mtime=0)
    shorter = len(compressed) < len(file.content)
    digest = hashlib.sha256(file.content).hexdigest()[:32]
    common = [(b"content-type", file.type.encode()), (b"cache-control", file.cache.encode())]
    if shorter:
        common.append((b"vary", b"accept-encoding"))

    def variant(content: bytes, tag: str, *more: tuple[bytes, bytes]) -> _Variant:
        return _Variant(content, [*common, (b"etag", tag.encode()), *more], tag.encode())

    plain = variant(file.content, f'"{digest}"')
    if not shorter:
        return plain, plain
    return plain, variant(compressed, f'"{digest}-gzip"', (b"content-encoding", b"gzip"))


def _takes_gzip(accepted: str) -> bool:
    """Whether a client accepts gzip, or any coding, with a weight above zero."""
    accepts = {}
    for coding in accepted.lower().replace(" ", "").split(","):
        name, weighted, weight = coding.partition(";q=")
        accepts[name] = not weighted or weight.strip("0.") != ""
    return accepts.get("gzip", accepts.get("*", False))


def _is_current(tag: bytes, known: bytes) -> bool:
    """Whether If-None-Match contains the tag (weak comparison): the client's copy is current."""
    return known.strip() == b"*" or tag in {
        each.strip().removeprefix(b"W/") for each in known.split(b",")
    }
