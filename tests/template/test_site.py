"""The page is private files behind CloudFront, its headers limit what it may load and call, and an
address of the page is never confused with a file."""

import json
import shutil
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from clickbait import aws
from clickbait.settings import settings
from clickbait.store import presigned
from local import template as local_template
from local.site import file_rule
from ops import pages
from tests.samples import addresses
from tests.template.conftest import of_type, one, statements

ROOT = Path(__file__).resolve().parents[2]

YEAR = 365 * 24 * 3600
NONE, SELF = ["'none'"], ["'self'"]


@pytest.fixture(scope="module")
def distribution(resources) -> dict[str, Any]:
    return one(resources, "AWS::CloudFront::Distribution")["DistributionConfig"]


@pytest.fixture(scope="module")
def headers(resources) -> dict[str, Any]:
    return one(resources, "AWS::CloudFront::ResponseHeadersPolicy")["ResponseHeadersPolicyConfig"]


# --- who may read --------------------------------------------------------------------------------


def test_only_cloudfront_reads_the_bucket_and_only_for_this_distribution(resources):
    (policy,) = [
        found["Properties"]["PolicyDocument"]
        for found in of_type(resources, "AWS::S3::BucketPolicy").values()
        if found["Properties"]["Bucket"] == {"Ref": "SiteBucket"}
    ]
    (allow,) = [found for found in statements(policy) if found["Effect"] == "Allow"]
    assert allow["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    # No s3:ListBucket: nobody can list the files.
    assert allow["Action"] == "s3:GetObject"
    assert allow["Resource"] == {"Fn::Sub": "${SiteBucket.Arn}/*"}
    source = "arn:${AWS::Partition}:cloudfront::${AWS::AccountId}:distribution/${SiteDistribution}"
    assert allow["Condition"] == {"StringEquals": {"aws:SourceArn": {"Fn::Sub": source}}}


def test_cloudfront_signs_its_requests_to_the_bucket(resources, distribution):
    (origin,) = distribution["Origins"]
    assert origin["DomainName"] == {"Fn::GetAtt": ["SiteBucket", "RegionalDomainName"]}
    (access,) = of_type(resources, "AWS::CloudFront::OriginAccessControl")
    assert origin["OriginAccessControlId"] == {"Fn::GetAtt": [access, "Id"]}
    assert origin["S3OriginConfig"] == {"OriginAccessIdentity": ""}
    control = resources[access]["Properties"]["OriginAccessControlConfig"]
    assert (control["OriginAccessControlOriginType"], control["SigningBehavior"]) == (
        "s3",
        "always",
    )


def test_the_bucket_is_not_a_web_site_itself(resources):
    assert "WebsiteConfiguration" not in resources["SiteBucket"]["Properties"]


# --- how it is served ----------------------------------------------------------------------------


def test_every_answer_is_over_tls_and_the_page_is_only_read(distribution):
    behaviour = distribution["DefaultCacheBehavior"]
    assert "CacheBehaviors" not in distribution
    assert behaviour["ViewerProtocolPolicy"] == "redirect-to-https"
    assert behaviour["AllowedMethods"] == ["GET", "HEAD"]
    assert distribution["DefaultRootObject"] == pages.INDEX


def test_every_answer_has_the_headers_of_the_policy(resources, distribution, headers):
    (policy,) = of_type(resources, "AWS::CloudFront::ResponseHeadersPolicy")
    assert distribution["DefaultCacheBehavior"]["ResponseHeadersPolicyId"] == {"Ref": policy}
    parts = [*headers["SecurityHeadersConfig"].values(), *headers["CustomHeadersConfig"]["Items"]]
    assert parts and all(part["Override"] is True for part in parts)


def test_a_file_that_is_missing_is_not_answered_with_the_page(distribution):
    assert "CustomErrorResponses" not in distribution


def test_the_page_costs_nothing_when_idle(resources, distribution):
    """No firewall and no dedicated address, which both cost by the month."""
    assert not {"WebACLId", "ViewerCertificate", "Logging"} & set(distribution)
    assert not any(found["Type"].startswith("AWS::WAF") for found in resources.values())


# --- the headers ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def policy(headers) -> dict[str, list[str]]:
    """The Content-Security-Policy in us-east-1: directive -> the sources that it allows."""
    text = headers["SecurityHeadersConfig"]["ContentSecurityPolicy"]["ContentSecurityPolicy"]
    here = {"${AWS::Region}": "us-east-1", "${AWS::URLSuffix}": "amazonaws.com"}
    resolved = text["Fn::Sub"]
    for name, value in here.items():
        resolved = resolved.replace(name, value)
    parts = [part.split() for part in resolved.split(";")]
    assert len({name for name, *_ in parts}) == len(parts)
    return {name: sources for name, *sources in parts}


def test_sources_that_no_directive_allows_are_refused(policy):
    assert policy["default-src"] == NONE
    # These do not fall back to default-src: without them everything is allowed.
    for name in ("base-uri", "form-action", "frame-ancestors"):
        assert policy[name] == NONE, name


def test_only_the_pages_own_scripts_styles_and_workers_run(policy):
    for name in ("script-src", "style-src", "worker-src", "manifest-src"):
        assert policy[name] == SELF, name


def test_no_directive_allows_every_source(policy):
    sources = {source for listed in policy.values() for source in listed}
    assert not any("unsafe" in source for source in sources)
    assert not sources & {"*", "http:", "https:", "'strict-dynamic'"}
    hosts = {source for source in sources if "//" in source}
    assert hosts == {
        "https://*.execute-api.us-east-1.amazonaws.com",
        "https://*.s3.us-east-1.amazonaws.com",
        "https://i.ytimg.com",
    }
    assert "https://i.ytimg.com" not in policy["connect-src"]


def allows(policy: dict[str, list[str]], directive: str, url: str) -> bool:
    scheme, _, rest = url.partition("://")
    origin = f"{scheme}://{rest.partition('/')[0]}"
    return any(fnmatchcase(origin, source) for source in policy[directive])


def test_the_page_may_call_its_api(policy, template):
    url = template["Outputs"]["ApiUrl"]["Value"]["Fn::Sub"]
    for name, value in {
        "${Api}": "a1b2c3",
        "${AWS::Region}": "us-east-1",
        "${AWS::URLSuffix}": "amazonaws.com",
    }.items():
        url = url.replace(name, value)
    assert allows(policy, "connect-src", url)
    assert not allows(policy, "connect-src", "https://example.org")
    assert not allows(policy, "connect-src", url.replace("https", "http"))


@pytest.fixture
def signing(monkeypatch):
    """The functions' own signer as in Lambda; no other test shares its client."""

    def forget() -> None:
        settings.cache_clear()
        aws.forget_clients()

    monkeypatch.setenv("DATA_BUCKET", "clickbait-data-123456789012-us-east-1")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    forget()
    yield presigned
    monkeypatch.undo()
    forget()


def test_the_page_may_use_what_the_functions_sign(policy, signing):
    form = signing.image_upload("image/jpeg")
    assert allows(policy, "connect-src", form["url"])
    seen = signing.view_url("feedback/0a1b2c")
    assert allows(policy, "img-src", seen)
    saved = signing.download_url("results/monday/results.csv", "monday.csv", "text/csv")
    assert allows(policy, "connect-src", saved)


def test_a_picked_image_can_be_shown_before_it_is_sent(policy):
    assert {"'self'", "blob:", "data:"} <= set(policy["img-src"])


def test_browsers_return_over_tls_for_a_year_at_least(headers):
    transport = headers["SecurityHeadersConfig"]["StrictTransportSecurity"]
    assert transport["AccessControlMaxAgeSec"] >= YEAR
    assert transport["IncludeSubdomains"] is True


def test_browsers_guess_no_type_frame_no_page_and_send_no_referrer(headers):
    security = headers["SecurityHeadersConfig"]
    assert "ContentTypeOptions" in security
    assert security["FrameOptions"]["FrameOption"] == "DENY"
    assert security["ReferrerPolicy"]["ReferrerPolicy"] == "no-referrer"
    others = {item["Header"]: item["Value"] for item in headers["CustomHeadersConfig"]["Items"]}
    assert others["Cross-Origin-Opener-Policy"] == "same-origin"
    allowed = dict(part.split("=") for part in others["Permissions-Policy"].split(", "))
    assert allowed.pop("camera") == "(self)"
    assert {"geolocation", "microphone", "payment", "usb"} <= set(allowed)
    assert set(allowed.values()) == {"()"}


# --- addresses -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rewritten(resources) -> dict[str, str]:
    """Each sample address and its result in the template's function, which Node runs."""
    node = shutil.which("node")
    assert node, "`node` is not installed: it runs the function that rewrites addresses"
    code = one(resources, "AWS::CloudFront::Function")["FunctionCode"]
    asked = [*addresses.PAGES, *addresses.FILES]
    run = (
        f"const asked = {json.dumps(asked)};"
        "const event = (uri) => ({ version: '1.0', request: { method: 'GET', uri, headers: {} } });"
        "console.log(JSON.stringify(asked.map((uri) => handler(event(uri)).uri)));"
    )
    done = subprocess.run([node, "-e", code + run], capture_output=True, text=True, check=True)
    return dict(zip(asked, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("address", addresses.PAGES)
def test_an_address_of_the_page_is_answered_with_the_page(rewritten, address):
    assert rewritten[address] == "/index.html"


@pytest.mark.parametrize("address", addresses.FILES)
def test_a_file_keeps_its_address_whether_it_exists_or_not(rewritten, address):
    assert rewritten[address] == address


def test_the_local_page_follows_the_same_rule(rewritten):
    rule = file_rule(local_template.read(ROOT / "template.yaml"))
    for address, found in rewritten.items():
        assert bool(rule.fullmatch(address)) is (address in addresses.FILES), address
        assert (address if rule.fullmatch(address) else "/index.html") == found


def test_every_request_passes_through_that_function(resources, distribution):
    (name,) = of_type(resources, "AWS::CloudFront::Function")
    (association,) = distribution["DefaultCacheBehavior"]["FunctionAssociations"]
    assert association["EventType"] == "viewer-request"
    assert association["FunctionARN"] == {"Fn::GetAtt": [name, "FunctionARN"]}
    assert resources[name]["Properties"]["AutoPublish"] is True
