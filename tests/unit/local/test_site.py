"""The local page is served as CloudFront serves it: same headers, same addresses, no other file."""

import asyncio
import copy
import gzip
from pathlib import Path

import pytest

from local import template
from local.site import Site, file_rule, headers_of
from ops import StackError, pages
from ops.pages import PageFile
from tests.samples import addresses

ROOT = Path(__file__).resolve().parents[3]
API, CLOUD = "http://127.0.0.1:8000", "http://127.0.0.1:4566"

SCRIPT = b"const text = 'as often as it takes'; " * 50
HTML = b"<!doctype html><title>the page</title>"
PICTURE = bytes(range(256))


@pytest.fixture(scope="module")
def written():
    """template.yaml."""
    return template.read(ROOT / "template.yaml")


@pytest.fixture
def site(written):
    files = {
        "index.html": PageFile(HTML, "text/html; charset=utf-8", pages.ASK_FIRST),
        "robots.txt": PageFile(b"User-agent: *", "text/plain; charset=utf-8", pages.ASK_FIRST),
        "config.json": pages.config(API, "private", "mine"),
        "assets/app-1.js": PageFile(SCRIPT, "text/javascript; charset=utf-8", pages.FOR_EVER),
        "assets/a b.png": PageFile(PICTURE, "image/png", pages.FOR_EVER),
    }
    return Site(files, headers_of(written, API, CLOUD), file_rule(written))


def ask(site: Site, path: str, method: str = "GET", **headers: str):
    """One request by hand, so that its path is exactly this; status, headers and body back."""
    sent: list[dict] = []

    async def receive():
        raise AssertionError("a file is answered without reading what comes with the request")

    async def take(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
    }
    asyncio.run(site(scope, receive, take))
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert len(answered) == len(sent[0]["headers"])
    return sent[0]["status"], answered, sent[1]["body"]


# --- headers -------------------------------------------------------------------------------------


def test_every_answer_has_the_headers_of_the_template_with_the_hosts_of_this_machine(site):
    for path in ("/", "/classify", "/assets/app-1.js", "/config.json", "/assets/missing.js"):
        _, headers, _ = ask(site, path)
        assert (
            headers.items()
            >= {
                "content-security-policy": (
                    "default-src 'none'; script-src 'self'; style-src 'self'; "
                    f"img-src 'self' blob: data: {CLOUD} https://i.ytimg.com; "
                    f"connect-src 'self' {API} {CLOUD}; "
                    "worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
                    "frame-ancestors 'none'"
                ),
                "x-content-type-options": "nosniff",
                "x-frame-options": "DENY",
                "referrer-policy": "no-referrer",
                "strict-transport-security": "max-age=63072000; includeSubDomains",
                "cross-origin-opener-policy": "same-origin",
            }.items()
        ), path
        assert "camera=(self)" in headers["permissions-policy"]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/", 405), ("GET", "/missing.js", 404)]
)
def test_a_refusal_has_them_too(site, method, path, status):
    got, headers, _ = ask(site, path, method)
    assert got == status
    assert {"content-security-policy", "x-content-type-options"} <= set(headers)
    assert headers["cache-control"] == "no-cache"


def changed(written, **parts):
    """The template with other parts in its policy."""
    other = copy.deepcopy(written)
    other["Resources"]["SiteHeaders"]["Properties"]["ResponseHeadersPolicyConfig"].update(parts)
    return other


def test_a_header_that_changes_in_the_template_changes_here(written):
    items = [{"Header": "X-Robots-Tag", "Value": "noindex", "Override": True}]
    headers = dict(headers_of(changed(written, CustomHeadersConfig={"Items": items}), API, CLOUD))
    assert headers[b"x-robots-tag"] == b"noindex"
    assert b"permissions-policy" not in headers


@pytest.mark.parametrize(
    "parts",
    [
        {"CorsConfig": {"OriginOverride": True}},
        {"SecurityHeadersConfig": {"XSSProtection": {"Protection": True}}},
    ],
)
def test_a_part_of_the_policy_that_cannot_be_said_here_is_not_passed_over(written, parts):
    with pytest.raises(StackError, match=r"CorsConfig|XSSProtection"):
        headers_of(changed(written, **parts), API, CLOUD)


def test_a_host_of_aws_that_has_no_place_here_is_not_passed_over(written):
    policy = {"Fn::Sub": "connect-src https://sqs.${AWS::Region}.${AWS::URLSuffix}"}
    parts = {"ContentSecurityPolicy": {"ContentSecurityPolicy": policy}}
    with pytest.raises(StackError, match="sqs"):
        headers_of(changed(written, SecurityHeadersConfig=parts), API, CLOUD)


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", addresses.PAGES)
def test_the_page_answers_for_an_address_that_is_no_files(site, path):
    status, headers, body = ask(site, path)
    assert (status, body) == (200, HTML)
    assert headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", addresses.FILES)
def test_nothing_answers_for_a_file_but_the_file(site, path):
    status, _, body = ask(site, path)
    if path in ("/index.html", "/config.json", "/robots.txt"):
        assert status == 200
    else:
        assert (status, body) == (404, b"There is no such file.\n")


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../../template.yaml",
        "/assets/%2e%2e/%2e%2e/template.yaml",
        "/assets/..%2f..%2ftemplate.yaml",
        "/assets//etc/passwd",
        "/assets/%00.js",
        "/..%2ftemplate.yaml",
        "/.done",
    ],
)
def test_no_path_leads_out_of_the_page(site, path):
    assert ask(site, path)[0] == 404


def test_a_name_with_a_space_is_found_by_its_escape(site):
    assert ask(site, "/assets/a%20b.png")[2] == PICTURE


def test_a_template_whose_rule_cannot_be_read_is_refused(written):
    other = copy.deepcopy(written)
    function = other["Resources"]["SiteAddresses"]["Properties"]
    function["FunctionCode"] = function["FunctionCode"].replace("const FILE", "const WHOLE")
    with pytest.raises(StackError, match="const FILE"):
        file_rule(other)


# --- content -------------------------------------------------------------------------------------


def test_a_script_goes_zipped_to_who_asks_and_whole_to_who_does_not(site):
    _, headers, body = ask(site, "/assets/app-1.js", accept_encoding="br, gzip")
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == SCRIPT and len(body) < len(SCRIPT) / 5
    assert int(headers["content-length"]) == len(body)
    _, plain, body = ask(site, "/assets/app-1.js")
    assert "content-encoding" not in plain and body == SCRIPT
    assert headers["vary"] == plain["vary"] == "accept-encoding"
    assert headers["etag"] != plain["etag"]


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [
        ("gzip", True),
        ("GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=1.0, identity; q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("*;q=0", False),
        ("br", False),
        ("", False),
    ],
)
def test_who_may_get_gzip_is_read_as_the_standard_has_it(site, accepted, zipped):
    _, headers, _ = ask(site, "/assets/app-1.js", accept_encoding=accepted)
    assert ("content-encoding" in headers) is zipped


def test_what_would_not_be_shorter_is_not_zipped(site):
    _, headers, body = ask(site, "/assets/a%20b.png", accept_encoding="gzip")
    assert body == PICTURE
    assert not {"content-encoding", "vary"} & set(headers)


@pytest.mark.parametrize("accepted", ["gzip", "br"])
def test_what_a_client_has_already_is_not_sent_again(site, accepted):
    _, first, _ = ask(site, "/assets/app-1.js", accept_encoding=accepted)
    for known in (first["etag"], f'"other", W/{first["etag"]}', "*"):
        status, headers, body = ask(
            site, "/assets/app-1.js", accept_encoding=accepted, if_none_match=known
        )
        assert (status, body) == (304, b"")
        for name in ("etag", "cache-control", "vary", "content-security-policy"):
            assert headers[name] == first[name]
        assert not {"content-length", "content-type", "content-encoding"} & set(headers)


def test_what_changed_is_sent(site):
    status, _, body = ask(site, "/", if_none_match='"what it was before"')
    assert (status, body) == (200, HTML)


def test_head_tells_all_but_the_content(site):
    _, whole, _ = ask(site, "/assets/app-1.js", accept_encoding="gzip")
    status, headers, body = ask(site, "/assets/app-1.js", "HEAD", accept_encoding="gzip")
    assert (status, headers, body) == (200, whole, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_the_page_is_only_read(site, method):
    status, headers, _ = ask(site, "/", method)
    assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_files_are_kept_for_as_long_as_they_say(site):
    assert ask(site, "/assets/app-1.js")[1]["cache-control"] == pages.FOR_EVER
    assert ask(site, "/config.json")[1]["cache-control"] == pages.ASK_FIRST
