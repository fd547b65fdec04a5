"""Visitors' pages, signing in and out, sessions that end, keys, and other people's batches."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from tests.local_stack import ROOT, LocalStack
from tests.samples.drawn import encoded, picture
from tests.waiting import DEADLINE

from .conftest import (
    PHONE,
    WIDE,
    as_admin,
    choose,
    new_context,
    sign_in,
    token_of,
    violations_in_both,
    visit,
)

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def admin(stack: LocalStack) -> Iterator[httpx.Client]:
    with stack.admin() as client:
        yield client


def test_an_admin_makes_a_key_that_signs_in_and_revokes_it(page, stack, admin, complaints):
    as_admin(page, stack, "/keys")
    page.get_by_label("For whom or what").fill("Night shift")
    page.get_by_label("May").select_option("member")
    page.get_by_label(re.compile("Images a day")).fill("100")
    page.get_by_role("button", name="Make key").click()
    expect(page.get_by_role("heading", name="Key for Night shift")).to_be_visible()
    key = page.locator("pre code").inner_text()
    assert violations_in_both(page) == []
    page.get_by_role("button", name="I have copied it").click()
    row = page.get_by_role("row").filter(has_text="Night shift")
    expect(row).to_contain_text("of 100")

    member = {"authorization": f"Bearer {key}"}
    assert admin.get("/models", headers=member).status_code == 200
    assert admin.get("/keys", headers=member).status_code == 403

    row.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(row).to_contain_text("Revoked")


def test_a_member_signs_in_with_a_key_and_sees_the_batches_of_others(
    browser: Browser, page, stack, admin
):
    made = admin.post("/keys", json={"name": "colleague", "role": "member"}).json()
    batch = admin.post("/batches", json={"files": ["a.jpg"], "name": "Monday"}).json()
    form = batch["uploads"]["items"][0]
    image = encoded(picture())
    httpx.post(
        form["url"],
        data=form["fields"],
        files={"file": ("a.jpg", image, "image/jpeg")},
        timeout=DEADLINE,
    )
    admin.post(batch["start"])

    with new_context(browser, viewport=WIDE) as context:
        other = context.new_page()
        visit(other, stack, "/review")
        other.get_by_role("main").get_by_role("button", name="Sign in").click()
        sign_in(other, made["key"])
        expect(other.get_by_role("button", name="Sign out")).to_be_visible()
        expect(other.get_by_role("link", name="Keys")).not_to_be_visible()
        other.goto(f"{stack.site_url}/batch")
        other.get_by_role("link", name="Monday", exact=True).click()
        other.get_by_role("button", name="Rename").click()
        other.get_by_label("Name of this batch").fill("Monday, checked")
        other.get_by_role("button", name="Save").click()
        expect(other.get_by_text("Monday, checked", exact=True)).to_be_visible()
    as_admin(page, stack, f"/batch/{batch['id']}")
    expect(page.locator("table img").first).to_be_visible()


def test_tabs_share_the_token_and_signing_out_ends_it_in_all(context, stack):
    first, second = context.new_page(), context.new_page()
    as_admin(first, stack, "/models")
    second.goto(f"{stack.site_url}/models")
    expect(second.get_by_role("button", name="Sign out")).to_be_visible()
    first.get_by_role("button", name="Sign out").click()
    expect(second.get_by_role("main").get_by_role("button", name="Sign in")).to_be_visible()
    # Signing in reaches the open tabs too.
    second.get_by_role("main").get_by_role("button", name="Sign in").click()
    sign_in(second, token_of(stack))
    expect(first.get_by_role("button", name="Sign out")).to_be_visible()


def test_a_token_is_remembered_on_the_device_only_by_choice(browser: Browser, stack):
    for remember in (False, True):
        with new_context(browser, viewport=WIDE) as context:
            page = context.new_page()
            page.goto(f"{stack.site_url}/classify")
            page.get_by_role("banner").get_by_role("button", name="Sign in").click()
            sign_in(page, token_of(stack), remember=remember)
            expect(page.get_by_role("button", name="Sign out")).to_be_visible()
            page.close()
            later = context.new_page()
            later.goto(f"{stack.site_url}/models")
            name = "Sign out" if remember else "Sign in"
            banner = later.get_by_role("banner")
            expect(banner.get_by_role("button", name=name)).to_be_visible()


@pytest.mark.parametrize("way", ["a link", "a link in a tab that shows the page", "the form"])
def test_the_token_is_in_no_entry_of_the_history_and_in_no_title(page, stack, way):
    token, titles = token_of(stack), list[str]()

    def look() -> str:
        titles.append(page.title())
        return page.url + page.evaluate("JSON.stringify(history.state)")

    page.goto(f"{stack.site_url}/classify")
    page.locator("main h1").wait_for()
    if way == "a link":
        page.goto(f"{stack.site_url}/models#token={token}")
    elif way == "the form":
        page.goto(f"{stack.site_url}/models")
        page.get_by_role("main").get_by_role("button", name="Sign in").click()
        sign_in(page, token)
    else:
        page.evaluate("token => { location.hash = `token=${token}`; }", token)
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    seen = [look()]
    entries = page.evaluate("history.length")
    page.get_by_role("link", name="Monitoring").click()
    expect(page).to_have_url(re.compile("/monitoring$"))
    seen.append(look())
    # Back to the first entry of the tab, and forward to the last one.
    for step in [page.go_back] * entries + [page.go_forward] * entries:
        step()
        seen.append(look())
    assert page.url.endswith("/monitoring")
    assert [one for one in seen + titles if token in one or "token=" in one] == []
    assert page.evaluate("Object.values(localStorage).join()").find(token) == -1
    page.get_by_role("button", name="Sign out").click()
    for kept in ("sessionStorage", "localStorage"):
        assert token not in page.evaluate(f"Object.values({kept}).join()")


FOR_DEVELOPERS = ("make up", "make deploy", ".local", "aws s3", "inbox", "AUC", "token", "bucket")


def drawn(count: int) -> list[tuple[str, bytes]]:
    return [(f"{n}.jpg", encoded(picture((64, 36), seed=n))) for n in range(count)]


def in_main(page: Page, name: str):
    return page.get_by_role("main").get_by_role("button", name=name)


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_visitor_sees_what_a_visitor_may_use(browser: Browser, stack: LocalStack, size):
    with stack.client() as api:
        version = api.get("/status").json()["model_version"]
    asked: list[Request] = []
    with new_context(browser, viewport=size) as context:
        page = context.new_page()

        def note(request: Request) -> None:
            asked.append(request)

        page.on("request", note)
        for path, done in (("/", ".verdict"), ("/classify", ".verdict"), ("/batch", ".results")):
            visit(page, stack, path)
            links = page.get_by_role("navigation", name="Pages").get_by_role("link")
            assert links.all_inner_texts() == ["Overview", "Classify", "Batch"]
            expect(page.get_by_role("banner").get_by_role("button", name="Sign in")).to_be_visible()
            for chosen in (False, True):
                if chosen:
                    choose(page, *drawn(3) if path == "/batch" else [ROOT / "sample.jpg"])
                    expect(page.locator(done)).to_be_visible()
                text = page.locator("body").inner_text()
                assert [word for word in (*FOR_DEVELOPERS, version[-6:]) if word in text] == []
                assert page.get_by_label("Token").count() == 0
                offered = page.get_by_role("main").get_by_role("button").all_inner_texts()
                assert [one for one in offered if re.search("Sign in|Wrong", one)] == []
                addresses = "links => links.map((one) => one.pathname)"
                inside = page.get_by_role("main").get_by_role("link").evaluate_all(addresses)
                assert {one for one in inside if "." not in one} <= {"/classify", "/batch"}
    # Nothing is requested that needs a token.
    paths = {re.sub(r"\?.*", "", one.url) for one in asked if one.url.startswith(stack.api_url)}
    open_routes = ("/status", "/model-info", "/predict", "/predict-batch")
    assert paths <= {f"{stack.api_url}{path}" for path in open_routes}


def test_a_visitor_with_more_than_ten_files_may_run_the_first_ten(page, stack, complaints):
    visit(page, stack, "/batch")
    choose(page, *drawn(12))
    expect(page.get_by_text("Your 12 files are kept here")).to_be_visible()
    assert violations_in_both(page) == []
    in_main(page, "Run the first 10 only").click()
    expect(page.locator(".results tbody tr")).to_have_count(10)
    assert complaints == []


def replace_token(route: Route) -> None:
    """Send the request with a token that was replaced in the meantime: the service refuses it."""
    headers = {**route.request.headers, "authorization": "Bearer the-token-of-yesterday"}
    route.continue_(headers=headers)


def test_a_session_that_ends_keeps_a_correction_and_sends_it_after_signing_in(page, stack, admin):
    as_admin(page, stack, "/classify")
    choose(page, ("late.jpg", encoded(picture((64, 36), seed=41))))
    page.route("**/feedback", replace_token)
    page.get_by_role("button", name=re.compile("Wrong. Mark as")).click()
    expect(page.get_by_role("dialog", name="Sign in")).to_contain_text("goes on")
    page.unroute("**/feedback")
    sign_in(page, token_of(stack))
    expect(page.get_by_text("An admin will review it")).to_be_visible()
    assert "late.jpg" in [one["file_name"] for one in admin.get("/feedback").json()["items"]]


def test_a_session_that_ends_while_files_go_up_continues_the_batch(page, stack, admin):
    as_admin(page, stack, "/batch")
    forms = re.compile(r"/batches/[^/]+$")
    page.route(forms, replace_token)
    choose(page, *drawn(12))
    dialog = page.get_by_role("dialog", name="Sign in")
    expect(dialog).to_be_visible()
    # After the form is closed, the page itself has the way back to it.
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Your session has ended")).not_to_have_count(0)
    page.unroute(forms)
    page.get_by_role("banner").get_by_role("button", name="Sign in").click()
    sign_in(page, token_of(stack))
    expect(page.get_by_role("heading", name="Results")).to_be_visible()
    batch = page.url.rsplit("/", 1)[1]
    found = admin.get(f"/batches/{batch}").json()
    assert (found["done"], found["failed"]) == (12, 0)


def test_a_session_that_ends_keeps_what_was_typed(page, stack, admin):
    as_admin(page, stack, "/keys")
    name = page.get_by_label("For whom or what")
    name.fill("Late shift")
    page.route("**/keys", replace_token)
    page.get_by_role("button", name="Make key").click()
    expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()
    page.unroute("**/keys")
    sign_in(page, token_of(stack))
    expect(name).to_have_value("Late shift")
    page.get_by_role("button", name="Make key").click()
    expect(page.get_by_role("heading", name="Key for Late shift")).to_be_visible()
