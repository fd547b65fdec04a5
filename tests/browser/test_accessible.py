"""The page is accessible: axe-core finds nothing, and the keyboard reaches everything."""

import pytest
from playwright.sync_api import Browser, expect

from tests.local_stack import ROOT
from tests.samples.drawn import encoded, picture

from .conftest import (
    PHONE,
    WIDE,
    as_admin,
    choose,
    new_context,
    token_of,
    violations_in_both,
    visit,
)

pytestmark = pytest.mark.end_to_end

PATHS = (
    "/",
    "/classify",
    "/batch",
    "/review",
    "/review?show=grid",
    "/data?show=images",
    "/data?show=browse",
    "/data?show=changes",
    "/data?show=model",
    "/models",
    "/models?show=training",
    "/review?show=corrections",
    "/models/versions/{version}",
    "/monitoring",
    "/history",
    "/history/{prediction}",
    "/no/such/page",
)
SIGNED_OUT = (
    "/",
    "/classify",
    "/batch",
    "/review",
    "/data?show=images",
    "/models",
    "/monitoring",
    "/history",
    "/history/{prediction}",
)


MOST_STOPS = 200
"""More than the elements of the overview that take the focus; its list of predictions grows."""


@pytest.fixture(scope="module")
def ids(stack, prediction) -> dict[str, str]:
    """The live version and a prediction of a service with some predictions and a correction."""
    with stack.client() as api:
        for seed in range(5):
            image = encoded(picture(seed=seed))
            answer = api.post("/predict", content=image, headers={"content-type": "image/jpeg"})
    with stack.admin() as admin:
        sent = {"file": ("sample.jpg", (ROOT / "sample.jpg").read_bytes(), "image/jpeg")}
        assert admin.post("/feedback", files=sent, data={"label": "clickbait"}).status_code == 201
    return {"version": answer.json()["model_version"], "prediction": prediction}


@pytest.mark.parametrize(
    ("sizes", "signed_in", "paths"),
    [([WIDE, PHONE], True, PATHS), ([PHONE], False, SIGNED_OUT)],
    ids=["signed in", "signed out"],
)
def test_axe_finds_nothing_on_any_page(browser: Browser, stack, ids, sizes, signed_in, paths):
    wrong = []
    with new_context(browser, reduced_motion="reduce") as context:
        page = context.new_page()
        visit(page, stack, "/", token=token_of(stack) if signed_in else None)
        for path in paths:
            page.set_viewport_size(sizes[0])
            visit(page, stack, path.format(**ids))
            for size in sizes:
                page.set_viewport_size(size)
                wrong += [f"{path} {size} {violation}" for violation in violations_in_both(page)]
    assert wrong == []


def test_axe_finds_nothing_on_an_answer_and_a_failure(page, stack):
    visit(page, stack, "/classify")
    choose(page, ROOT / "sample.jpg")
    expect(page.locator(".verdict")).to_be_visible()
    answered = violations_in_both(page)
    choose(page, ("broken.jpg", b"not an image"))
    expect(page.get_by_role("alert")).to_be_visible()
    assert answered + violations_in_both(page) == []


def test_the_keyboard_reaches_content_and_pages_and_shows_the_focus(page, stack):
    as_admin(page, stack, "/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    inside = "document.querySelector('main').contains(document.activeElement)"
    page.wait_for_function(f"() => {inside}")
    wanted = {"Overview", "Classify", "Batch", "Review", "Data", "Models", "Monitoring"}
    wanted.add("Choose files")
    seen = set()
    page.keyboard.press("Home")
    for _ in range(MOST_STOPS):
        if wanted <= seen:
            break
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.textContent.trim()"))
        outlined = page.evaluate(
            """() => {
                const on = document.activeElement, style = getComputedStyle(on);
                const marked = style.outlineStyle !== 'none' || style.boxShadow !== 'none';
                return on === document.body || marked ? '' : on.outerHTML.slice(0, 200);
            }"""
        )
        assert outlined == ""
    assert wanted <= seen
