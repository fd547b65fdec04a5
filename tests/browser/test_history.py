"""Past predictions on the page: filters in the address, images, links to share; a kept session."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.local_stack import ROOT
from tests.samples.drawn import encoded, picture
from tests.waiting import DEADLINE, eventually

from .conftest import (
    WIDE,
    as_admin,
    choose,
    first_of,
    holding,
    new_context,
    sign_in,
    violations_in_both,
    visit,
)

pytestmark = pytest.mark.end_to_end


KEPT = """async () => {
    // Opening a database creates it, so the page has to be first.
    if (!(await indexedDB.databases()).some(({ name }) => name === "session")) return false;
    const of = (request) => new Promise((resolve) => {
        request.onsuccess = () => resolve(request.result);
    });
    const session = await of(indexedDB.open("session"));
    const all = await of(session.transaction("images").objectStore("images").getAll());
    session.close();
    return all.filter(({ answer }) => answer).length === 2;
}"""
"""True if the browser keeps two images with their results."""


@pytest.fixture(scope="module")
def admin(stack) -> Iterator[httpx.Client]:
    with stack.admin() as client:
        yield client


@pytest.fixture(scope="module")
def batch(admin: httpx.Client) -> str:
    """The id of a finished batch with two images in the history."""
    names = ["first.jpg", "second.jpg"]
    made = admin.post("/batches", json={"files": names}).json()
    for seed, form in enumerate(made["uploads"]["items"]):
        image = ("image.jpg", encoded(picture(seed=70 + seed)), "image/jpeg")
        httpx.post(form["url"], data=form["fields"], files={"file": image}, timeout=DEADLINE)
    admin.post(made["start"])
    of = {"batch": made["id"]}
    assert eventually(lambda: len(admin.get("/predictions", params=of).json()["items"]) == 2)
    return made["id"]


def test_filters_are_in_the_address_and_survive_a_reload(page, stack, admin, batch, complaints):
    as_admin(page, stack, f"/history?batch={batch}")
    rows = page.get_by_role("row").filter(has=page.get_by_role("cell"))
    expect(rows).to_have_count(2)
    expect(rows.locator("img")).to_have_count(2)
    expect(rows.filter(has_text="second.jpg")).to_be_visible()
    page.get_by_label("Source").select_option("predict")
    expect(page.get_by_text("No match")).to_be_visible()
    assert re.search(r"\?source=predict&batch=", page.url)
    page.reload()
    expect(page.get_by_text("No match")).to_be_visible()
    expect(page.get_by_label("Source")).to_have_value("predict")
    held = holding(page, "**/predictions?*")
    with page.expect_request("**/predictions?*"):
        page.get_by_label("Source").select_option("")
    version = page.get_by_label("Model version")
    version.fill("20200101-000000-aaaaaa")
    first_of(page, held).continue_()
    expect(rows).to_have_count(2)
    expect(version).to_have_value("20200101-000000-aaaaaa")
    page.unroute("**/predictions?*")
    version.press("Enter")
    expect(page.get_by_text("No match")).to_be_visible()
    version.fill("")
    version.press("Enter")
    page.get_by_label("Day (UTC)").fill("2020-01-01")
    expect(page.get_by_text("No match")).to_be_visible()
    page.get_by_label("Day (UTC)").fill("")
    expect(rows).to_have_count(2)
    assert violations_in_both(page) == []
    assert complaints == []


def test_a_shared_link_shows_an_admin_the_image_and_a_member_the_verdict(
    browser: Browser, page, stack, admin, batch
):
    as_admin(page, stack, f"/history?batch={batch}")
    row = page.get_by_role("row").filter(has_text="first.jpg")
    row.get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Prediction")).to_be_visible()
    expect(page.get_by_role("img", name="first.jpg")).to_be_visible()
    expect(page.locator("canvas.heat")).to_be_visible()
    expect(page.get_by_role("button", name="Copy the link to this prediction")).to_be_visible()
    assert violations_in_both(page) == []

    made = admin.post("/keys", json={"name": "colleague", "role": "member"}).json()
    with new_context(browser, viewport=WIDE) as context:
        other = context.new_page()
        other.goto(page.url)
        other.get_by_role("main").get_by_role("button", name="Sign in").click()
        sign_in(other, made["key"])
        expect(other.locator(".verdict")).to_be_visible()
        expect(other.get_by_text("first.jpg", exact=True)).to_be_visible()
        expect(other.get_by_text("No picture")).to_be_visible()
        expect(other.get_by_role("img", name="first.jpg")).to_have_count(0)
    admin.post(f"/keys/{made['id']}/revoke")


def test_a_result_has_a_page_of_its_own_and_an_unknown_one_says_so(page, stack, complaints):
    as_admin(page, stack, "/classify")
    choose(page, ROOT / "sample.jpg")
    verdict = page.locator(".verdict strong").inner_text()
    page.get_by_role("link", name="Page of this result").click()
    expect(page.get_by_role("heading", name="Prediction")).to_be_visible()
    expect(page.locator(".verdict strong")).to_have_text(verdict)
    assert complaints == []
    visit(page, stack, "/history/unknown")
    expect(page.get_by_text("Predictions are kept for 30 days")).to_be_visible()


def test_the_session_of_classify_survives_a_reload_and_can_be_cleared(page, stack, complaints):
    visit(page, stack, "/classify")
    sample = (ROOT / "sample.jpg").read_bytes()
    choose(page, ("sample.jpg", sample), ("other.jpg", encoded(picture(seed=7))))
    strip = page.locator(".strip-item")
    expect(strip.filter(has_text="%")).to_have_count(2)
    before = strip.all_inner_texts()
    page.wait_for_function(KEPT)
    sent = []
    page.on("request", lambda request: request.method == "POST" and sent.append(request.url))
    page.reload()
    expect(strip.filter(has_text="%")).to_have_count(2)
    assert strip.all_inner_texts() == before
    expect(page.get_by_role("img", name="sample.jpg").first).to_be_visible()
    assert sent == []
    page.get_by_role("button", name="Clear this session").click()
    expect(page.get_by_text("No images yet")).to_be_visible()
    page.reload()
    expect(page.get_by_text("No images yet")).to_be_visible()
    assert complaints == []
