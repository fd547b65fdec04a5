"""The page's address on this machine: what S3 and CloudFront are on AWS, by the same template.

The headers, and the rule which address is a file's, are read from template.yaml: a page that works
here meets no other policy there. The page itself is read once, when the stack starts, so that no
path of a request is ever a path on the disk.
"""

import gzip
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.types import Receive, Scope, Send

from ops import StackError
from ops.pages import ASK_FIRST, INDEX, TYPES, PageFile

API_HOSTS = "https://*.execute-api.${AWS::Region}.${AWS::URLSuffix}"
BUCKET_HOSTS = "https://*.s3.${AWS::Region}.${AWS::URLSuffix}"
"""AWS's hosts as the template's policy writes them; here each is one address."""

FILE_RULE = re.compile(r"const FILE = /(.+)/;")
"""The line of the template's function that says which addresses are files'."""

GZIP_LEVEL = 9
"""The most there is: it is done once, in some ms."""

METHODS = ("GET", "HEAD")

OF_A_304 = {b"cache-control", b"etag", b"vary"}
"""The headers of an answer that another without its content repeats (RFC 9110, section 15.4.5)."""

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class _Form:
    """What one kind of client gets: with gzip, without it, or a refusal."""

    content: bytes
    headers: Headers
    tag: bytes = b""


def _refusal(text: bytes, *more: tuple[bytes, bytes]) -> _Form:
    kind = (b"content-type", TYPES[".txt"].encode())
    return _Form(text, [kind, (b"cache-control", ASK_FIRST.encode()), *more])


MISSING = _refusal(b"There is no such file.\n")
ONLY_READ = _refusal(b"The page is only read.\n", (b"allow", ", ".join(METHODS).encode()))


class Site:
    """An ASGI application that answers with a page's files, as the template has them served.

    Raises StackError for a template that it cannot follow.
    """

    def __init__(
        self,
        files: Mapping[str, PageFile],
        template: Mapping[str, Any],
        api_url: str,
        cloud_url: str,
    ) -> None:
        self._headers = headers_of(template, api_url, cloud_url)
        self._rule = file_rule(template)
        self._forms = {name: _forms(file) for name, file in files.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status, form = self._found(scope)
        if status == 304:
            headers = [(name, value) for name, value in form.headers if name in OF_A_304]
        else:
            headers = [*form.headers, (b"content-length", str(len(form.content)).encode())]
        with_content = status != 304 and scope["method"] != "HEAD"
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [*self._headers, *headers],
            }
        )
        body = form.content if with_content else b""
        await send({"type": "http.response.body", "body": body})

    def _found(self, scope: Scope) -> tuple[int, _Form]:
        """The answer's status, and what it answers with."""
        if scope["method"] not in METHODS:
            return 405, ONLY_READ
        path = scope["raw_path"].decode("latin-1")
        name = unquote(path[1:]) if self._rule.fullmatch(path) else INDEX
        if name not in self._forms:
            return 404, MISSING
        asked = dict(scope["headers"])
        plain, zipped = self._forms[name]
        form = (
            zipped if _takes_gzip(asked.get(b"accept-encoding", b"").decode("latin-1")) else plain
        )
        return (304 if _holds(form.tag, asked.get(b"if-none-match", b"")) else 200), form


def headers_of(template: Mapping[str, Any], api_url: str, cloud_url: str) -> Headers:
    """The headers of the template's policy, with this machine's addresses for AWS's hosts.

    Raises StackError for what cannot be said here: a page must not work here for want of it.
    """
    policy = _only(template, "AWS::CloudFront::ResponseHeadersPolicy")
    parts = dict(policy["ResponseHeadersPolicyConfig"])
    del parts["Name"]
    said = list(_security(parts.pop("SecurityHeadersConfig", {})))
    said += [
        (i["Header"], i["Value"]) for i in parts.pop("CustomHeadersConfig", {}).get("Items", [])
    ]
    if parts:
        raise StackError(f"local/site.py cannot say {', '.join(parts)} of the page's headers.")
    here = {API_HOSTS: api_url, BUCKET_HOSTS: cloud_url}
    return [(name.lower().encode(), _with_hosts(value, here).encode()) for name, value in said]


def file_rule(template: Mapping[str, Any]) -> re.Pattern[str]:
    """Matches a whole path that is a file's; every other one is a page's, and index.html answers.

    Raises StackError where the template's function does not have it in its one line.
    """
    found = FILE_RULE.search(_only(template, "AWS::CloudFront::Function")["FunctionCode"])
    if not found:
        raise StackError(f"The function of template.yaml has no line {FILE_RULE.pattern}.")
    return re.compile(found[1])


def _security(parts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """CloudFront's own names for headers -> the headers."""
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
                raise StackError(f"local/site.py cannot say {part} of the page's headers.")


def _with_hosts(value: Any, here: Mapping[str, str]) -> str:
    text = str(value["Fn::Sub"]) if isinstance(value, Mapping) else str(value)
    for pattern, address in here.items():
        text = text.replace(pattern, address)
    if "${" in text:
        raise StackError(f"local/site.py knows no address here for all of: {text}")
    return text


def _only(template: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The properties of the template's only resource of a type."""
    (found,) = (r["Properties"] for r in template["Resources"].values() if r["Type"] == kind)
    return dict(found)


def _forms(file: PageFile) -> tuple[_Form, _Form]:
    """A file as it is, and zipped where that is shorter."""
    zipped = gzip.compress(file.content, GZIP_LEVEL, mtime=0)
    shorter = len(zipped) < len(file.content)
    digest = hashlib.sha256(file.content).hexdigest()[:32]
    common = [(b"content-type", file.type.encode()), (b"cache-control", file.cache.encode())]
    if shorter:
        common.append((b"vary", b"accept-encoding"))

    def form(content: bytes, tag: str, *more: tuple[bytes, bytes]) -> _Form:
        return _Form(content, [*common, (b"etag", tag.encode()), *more], tag.encode())

    plain = form(file.content, f'"{digest}"')
    if not shorter:
        return plain, plain
    return plain, form(zipped, f'"{digest}-gzip"', (b"content-encoding", b"gzip"))


def _takes_gzip(accepted: str) -> bool:
    """Whether a client asks for gzip, or for anything, with a weight that is not zero."""
    asked = {}
    for coding in accepted.lower().replace(" ", "").split(","):
        name, weighted, weight = coding.partition(";q=")
        asked[name] = not weighted or weight.strip("0.") != ""
    return asked.get("gzip", asked.get("*", False))


def _holds(tag: bytes, known: bytes) -> bool:
    """Whether what a client has is still this: If-None-Match, which compares weakly."""
    return known.strip() == b"*" or tag in {
        each.strip().removeprefix(b"W/") for each in known.split(b",")
    }
