"""The page is private files behind CloudFront: what it may load, run and call is told to browsers,
and an address of the page is never taken for a file, or a missing file for the page."""

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
    # No s3:ListBucket: the names of the files are nobody's.
    assert allow["Action"] == "s3:GetObject"
    assert allow["Resource"] == {"Fn::Sub": "${SiteBucket.Arn}/*"}
    source = "arn:${AWS::Partition}:cloudfront::${AWS::AccountId}:distribution/${SiteDistribution}"
    assert allow["Condition"] == {"StringEquals": {"aws:SourceArn": {"Fn::Sub": source}}}


def test_cloudfront_signs_what_it_asks_the_bucket(resources, distribution):
    (origin,) = distribution["Origins"]
    assert origin["DomainName"] == {"Fn::GetAtt": ["SiteBucket", "RegionalDomainName"]}
    (access,) = of_type(resources, "AWS::CloudFront::OriginAccessControl")
    assert origin["OriginAccessControlId"] == {"Fn::GetAtt": [access, "Id"]}
    assert origin["S3OriginConfig"] == {"OriginAccessIdentity": ""}
    told = resources[access]["Properties"]["OriginAccessControlConfig"]
    assert (told["OriginAccessControlOriginType"], told["SigningProtocol"]) == ("s3", "sigv4")
    assert told["SigningBehavior"] == "always"


def test_the_bucket_is_no_web_site_of_its_own(resources):
    assert "WebsiteConfiguration" not in resources["SiteBucket"]["Properties"]


# --- how it is served ----------------------------------------------------------------------------

CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
"""AWS's policy, the same in every account: the objects say how long, and gzip and Brotli."""


def test_every_answer_is_by_tls_compressed_and_only_read(distribution):
    behaviour = distribution["DefaultCacheBehavior"]
    assert "CacheBehaviors" not in distribution
    assert behaviour["ViewerProtocolPolicy"] == "redirect-to-https"
    assert behaviour["AllowedMethods"] == ["GET", "HEAD"]
    assert behaviour["Compress"] is True
    assert behaviour["CachePolicyId"] == CACHING_OPTIMIZED
    assert distribution["HttpVersion"] == "http2and3"
    assert distribution["DefaultRootObject"] == "index.html"


def test_every_answer_has_the_headers_of_the_policy(resources, distribution, headers):
    (policy,) = of_type(resources, "AWS::CloudFront::ResponseHeadersPolicy")
    assert distribution["DefaultCacheBehavior"]["ResponseHeadersPolicyId"] == {"Ref": policy}
    parts = [*headers["SecurityHeadersConfig"].values(), *headers["CustomHeadersConfig"]["Items"]]
    assert len(parts) == 7 and all(part["Override"] is True for part in parts)


def test_a_file_that_is_missing_is_not_answered_with_the_page(distribution):
    assert "CustomErrorResponses" not in distribution


def test_the_page_costs_nothing_when_idle(resources, distribution):
    """No firewall, and no address of its own, both by the month; the cheapest places."""
    assert not {"WebACLId", "ViewerCertificate", "Logging"} & set(distribution)
    assert distribution["PriceClass"] == "PriceClass_100"
    assert not any(found["Type"].startswith("AWS::WAF") for found in resources.values())


# --- what browsers are told ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def policy(headers) -> dict[str, list[str]]:
    """The Content-Security-Policy in us-east-1: directive -> what it lets in."""
    text = headers["SecurityHeadersConfig"]["ContentSecurityPolicy"]["ContentSecurityPolicy"]
    here = {"${AWS::Region}": "us-east-1", "${AWS::URLSuffix}": "amazonaws.com"}
    said = text["Fn::Sub"]
    for name, value in here.items():
        said = said.replace(name, value)
    parts = [part.split() for part in said.split(";")]
    assert len({name for name, *_ in parts}) == len(parts)
    return {name: sources for name, *sources in parts}


def test_what_no_directive_lets_in_is_refused(policy):
    assert policy["default-src"] == NONE
    # These have no default: without them anything goes.
    for name in ("base-uri", "form-action", "frame-ancestors"):
        assert policy[name] == NONE, name


def test_only_the_pages_own_scripts_styles_and_workers_run(policy):
    for name in ("script-src", "style-src", "worker-src", "manifest-src"):
        assert policy[name] == SELF, name


def test_nothing_is_let_in_from_everywhere(policy):
    sources = {source for listed in policy.values() for source in listed}
    assert not any("unsafe" in source for source in sources)
    assert not sources & {"*", "http:", "https:", "'strict-dynamic'"}
    hosts = {source for source in sources if "//" in source}
    assert hosts == {
        "https://*.execute-api.us-east-1.amazonaws.com",
        "https://*.s3.us-east-1.amazonaws.com",
    }


def lets(policy: dict[str, list[str]], directive: str, url: str) -> bool:
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
    assert lets(policy, "connect-src", url)
    assert not lets(policy, "connect-src", "https://example.org")
    assert not lets(policy, "connect-src", url.replace("https", "http"))


@pytest.fixture
def signing(monkeypatch):
    """The functions' own signer, as in Lambda; no test before or after has its client."""

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
    assert lets(policy, "connect-src", form["url"])
    seen = signing.view_url("feedback/0a1b2c")
    assert lets(policy, "img-src", seen)
    saved = signing.download_url("results/monday/results.csv", "monday.csv", "text/csv")
    assert lets(policy, "connect-src", saved)


def test_a_picked_image_can_be_shown_before_it_is_sent(policy):
    assert {"'self'", "blob:", "data:"} <= set(policy["img-src"])


def test_browsers_come_back_by_tls_for_a_year_at_least(headers):
    transport = headers["SecurityHeadersConfig"]["StrictTransportSecurity"]
    assert transport["AccessControlMaxAgeSec"] >= YEAR
    assert transport["IncludeSubdomains"] is True


def test_nothing_is_guessed_framed_or_told_to_others(headers):
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
    """Each sample address, and what the function of the template makes of it, in node."""
    node = shutil.which("node")
    assert node, "there is no `node` here, which runs the function that rewrites addresses"
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
def test_a_file_is_asked_for_by_its_own_name_there_or_not(rewritten, address):
    assert rewritten[address] == address


def test_the_local_page_goes_by_the_same_rule(rewritten):
    rule = file_rule(local_template.read(ROOT / "template.yaml"))
    for address, found in rewritten.items():
        assert bool(rule.fullmatch(address)) is (address in addresses.FILES), address
        assert (address if rule.fullmatch(address) else "/index.html") == found


def test_every_request_meets_that_function(resources, distribution):
    (name,) = of_type(resources, "AWS::CloudFront::Function")
    (association,) = distribution["DefaultCacheBehavior"]["FunctionAssociations"]
    assert association["EventType"] == "viewer-request"
    assert association["FunctionARN"] == {"Fn::GetAtt": [name, "FunctionARN"]}
    assert resources[name]["Properties"]["AutoPublish"] is True
    assert resources[name]["Properties"]["FunctionConfig"]["Runtime"] == "cloudfront-js-2.0"
