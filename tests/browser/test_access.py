"""Signing in and out on the page, keys for others, and batches that others see."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.local_stack import LocalStack
from tests.samples.drawn import encoded, picture
from tests.waiting import DEADLINE

from .conftest import WIDE, as_admin, new_context, token_of, violations_in_both, visit

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
        visit(other, stack, "/batch")
        other.goto(f"{stack.site_url}/review")
        other.get_by_label("Token").fill(made["key"])
        other.get_by_role("button", name="Sign in").click()
        expect(other.get_by_role("button", name="Sign out")).to_be_visible()
        expect(other.get_by_role("link", name="Keys")).not_to_be_visible()
        other.goto(f"{stack.site_url}/batch")
        other.get_by_role("link", name="Monday").click()
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
    expect(second.get_by_label("Token")).to_be_visible()


def test_a_token_is_remembered_on_the_device_only_by_choice(browser: Browser, stack):
    for remember in (False, True):
        with new_context(browser, viewport=WIDE) as context:
            page = context.new_page()
            page.goto(f"{stack.site_url}/models")
            page.get_by_label("Token").fill(token_of(stack))
            if remember:
                page.get_by_label(re.compile("Remember on this device")).check()
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("button", name="Sign out")).to_be_visible()
            page.close()
            later = context.new_page()
            later.goto(f"{stack.site_url}/models")
            expected = "button" if remember else "heading"
            name = "Sign out" if remember else re.compile("Sign in")
            expect(later.get_by_role(expected, name=name)).to_be_visible()
