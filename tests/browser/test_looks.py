"""The page in every look: phones, print, high contrast, light and dark, and with the API down."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.local_stack import ROOT

from .conftest import (
    PHONE,
    WIDE,
    as_admin,
    choose,
    new_context,
    token_of,
    violations,
    violations_in_both,
    visit,
)

pytestmark = pytest.mark.end_to_end

PATHS = ("/", "/classify", "/batch", "/review", "/data", "/models", "/monitoring")
ON_ITS_SIDE = {"width": 844, "height": 390}
NARROW = {"width": 320, "height": 568}
ZOOMED = {"width": 640, "height": 400}
"""A window of 1280 x 800 pixels at 200%."""


@pytest.mark.parametrize("size", [PHONE, ON_ITS_SIDE], ids=["portrait", "landscape"])
def test_the_verdict_is_seen_without_scrolling_on_a_phone(browser: Browser, stack, size):
    with new_context(browser, viewport=size, has_touch=True, is_mobile=True) as context:
        page = context.new_page()
        for path in ("/classify", "/"):
            visit(page, stack, path)
            choose(page, ROOT / "sample.jpg")
            verdict = page.locator(".verdict")
            expect(verdict).to_be_visible()
            box, picture = verdict.bounding_box(), page.locator(".picture-frame").bounding_box()
            assert page.evaluate("scrollY") == 0
            assert box["y"] + box["height"] <= size["height"], path
            # Below it, or beside it.
            assert picture["y"] >= box["y"] + box["height"] or picture["x"] < box["x"], path


def test_nothing_collides_on_small_windows_and_at_200_percent(browser: Browser, stack):
    with new_context(browser, viewport=NARROW, has_touch=True, is_mobile=True) as context:
        page = context.new_page()
        as_admin(page, stack, "/")
        for path in PATHS:
            page.goto(f"{stack.description()['site_url']}{path}")
            page.locator("main h1").wait_for()
            page.wait_for_load_state("networkidle")
            for size in (NARROW, PHONE, ZOOMED):
                page.set_viewport_size(size)
                width = size["width"]
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, (path, size)
                links = page.get_by_role("navigation", name="Pages").get_by_role("link")
                boxes = [link.bounding_box() for link in links.all()]
                ends = [box["x"] + box["width"] for box in boxes]
                assert all(box["x"] >= end for box, end in zip(boxes[1:], ends, strict=False)), path
                assert ends[-1] <= width
                cut = (
                    "a => [...a.querySelectorAll('span')].some(s => s.scrollWidth > a.clientWidth)"
                )
                named = page.get_by_role("navigation", name="Pages").locator("[aria-current]")
                assert not named.evaluate(cut), (path, size)


def test_light_and_dark_can_be_chosen_and_stay(page, stack, complaints):
    page.emulate_media(color_scheme="light")
    visit(page, stack, "/classify")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(ground)
    button = page.get_by_role("button", name=re.compile("^Colours:"))
    button.click()
    expect(button).to_have_accessible_name("Colours: light")
    button.click()
    expect(button).to_have_accessible_name("Colours: dark")
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    expect(button).to_have_accessible_name("Colours: dark")
    assert page.evaluate(ground) == dark
    button.click()
    assert page.evaluate(ground) == light
    assert page.evaluate("localStorage.length") == 0
    assert complaints == []


BOUNDED = """(element) => {
    const { borderTopStyle, outlineStyle } = getComputedStyle(element);
    return [borderTopStyle, outlineStyle].some((style) => style !== "none");
}"""


def test_bars_tabs_and_dots_are_visible_in_the_systems_own_colours(page, stack):
    page.emulate_media(forced_colors="active")
    visit(page, stack, "/classify")
    choose(page, ROOT / "sample.jpg")
    expect(page.locator(".verdict")).to_be_visible()
    for selector in (".bar-track", ".health", ".places [aria-current]"):
        assert page.locator(selector).first.evaluate(BOUNDED), selector
    filled = "(e) => getComputedStyle(e).backgroundColor === getComputedStyle(document.body).color"
    assert page.locator(".bar-fill").evaluate(filled)
    page.get_by_text("Use this from code").click()
    assert page.get_by_role("button", name="curl", exact=True).evaluate(BOUNDED)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_who_wants_more_contrast_gets_seven_to_one_and_underlined_links(page, stack, scheme):
    page.emulate_media(color_scheme=scheme, contrast="more", reduced_motion="reduce")
    visit(page, stack, "/classify")
    choose(page, ROOT / "sample.jpg")
    expect(page.locator(".verdict")).to_be_visible()
    link = page.get_by_role("link", name="API documentation")
    expect(link).to_have_css("text-decoration-line", "underline")
    assert violations(page, "color-contrast-enhanced") == []


def test_paper_gets_the_verdict_and_no_controls(page, stack):
    visit(page, stack, "/classify")
    choose(page, ROOT / "sample.jpg")
    expect(page.locator(".verdict")).to_be_visible()
    page.emulate_media(media="print")
    expect(page.locator(".verdict")).to_be_visible()
    expect(page.locator(".picture-frame img")).to_be_visible()
    for selector in (".top", ".drop", ".bottom", ".correct"):
        expect(page.locator(selector)).to_be_hidden()


SHIFTS = """() => {
    window.shifted = 0;
    new PerformanceObserver((list) => {
        for (const one of list.getEntries()) if (!one.hadRecentInput) window.shifted += one.value;
    }).observe({ type: "layout-shift", buffered: true });
}"""


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_nothing_jumps_while_a_page_loads(browser: Browser, stack, size):
    shifted = {}
    for path in PATHS:
        with new_context(browser, viewport=size) as context:  # A cold visit.
            page = context.new_page()
            page.add_init_script(f"({SHIFTS})()")
            visit(page, stack, path, token_of(stack))
            shifted[path] = round(page.evaluate("window.shifted"), 3)
    assert max(shifted.values()) <= 0.05, shifted


def without_the_api(page: Page, stack) -> None:
    page.route(f"{stack.api_url}/**", lambda route: route.abort())


def test_axe_finds_nothing_with_the_api_down(page, stack):
    without_the_api(page, stack)
    wrong = []
    for path in PATHS:
        visit(page, stack, path, token_of(stack))
        wrong += [f"{path} {violation}" for violation in violations_in_both(page)]
    assert wrong == []
