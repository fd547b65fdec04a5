"""The page in every look: phones, print, high contrast, light and dark, and with the API down."""

import re
from functools import partial
from itertools import pairwise

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.local_stack import ROOT
from tests.samples.drawn import encoded, picture
from tests.waiting import eventually

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

PATHS = (
    "/",
    "/classify",
    "/batch",
    "/review",
    "/data",
    "/models",
    "/monitoring",
    "/history",
    "/history/{prediction}",
    "/keys",
)
ON_ITS_SIDE = {"width": 844, "height": 390}
NARROW = {"width": 320, "height": 568}
ZOOMED = {"width": 640, "height": 400}
"""A window of 1280 x 800 pixels at 200%."""

SMALL = (PHONE, NARROW, ZOOMED)

SEEN = """() => [
    ...[".verdict", ".picture-frame"].map((one) =>
        document.querySelector(one).getBoundingClientRect().toJSON()),
    scrollY,
]"""
"""Where the verdict and the picture are in the window at one moment, and how far it is scrolled."""


@pytest.mark.parametrize("size", [PHONE, ON_ITS_SIDE], ids=["portrait", "landscape"])
def test_the_verdict_is_seen_without_scrolling_on_a_phone(browser: Browser, stack, size):
    with new_context(browser, viewport=size, has_touch=True, is_mobile=True) as context:
        page = context.new_page()
        for path in ("/classify", "/"):
            visit(page, stack, path)
            choose(page, ROOT / "sample.jpg")
            expect(page.locator(".verdict")).to_be_visible()
            box, picture, scrolled = page.evaluate(SEEN)
            assert scrolled == 0
            assert box["bottom"] <= size["height"], path
            # Below it, or beside it.
            assert picture["top"] >= box["bottom"] or picture["left"] < box["left"], path


def test_the_table_of_a_batch_fits_a_phone_with_its_pictures(browser: Browser, stack):
    with new_context(browser, viewport=PHONE, has_touch=True, is_mobile=True) as context:
        page = context.new_page()
        as_admin(page, stack, "/batch")
        choose(page, *((f"tt_bQXK09jDlcw {n}.jpg", encoded(picture(seed=n))) for n in range(2)))
        table = page.get_by_role("region", name="Table of files")
        pictures = table.locator("img.thumbnail")
        expect(pictures).to_have_count(2)
        assert [one.bounding_box()["width"] for one in pictures.all()] == [48, 48]
        assert table.evaluate("table => table.scrollWidth <= table.clientWidth")


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


EDGES = """(links) => links.map((link) => {
    const { left, right } = link.getBoundingClientRect();
    return [left, right];
})"""

CUT = "link => [...link.querySelectorAll('span')].some((s) => s.scrollWidth > link.clientWidth)"


def collisions(page: Page, size: ViewportSize) -> list[str]:
    """The parts that are wider than the window, on top of something else or cut in it."""
    links = page.get_by_role("navigation", name="Pages").get_by_role("link")
    edges = links.evaluate_all(EDGES)
    wrong = {
        "the page": page.evaluate("document.documentElement.scrollWidth") > size["width"],
        "the links": edges[-1][1] > size["width"],
        "two links": any(right > left for (_, right), (left, _) in pairwise(edges)),
        "the name of the page": any(
            link.evaluate(CUT) for link in links.and_(page.locator("[aria-current]")).all()
        ),
    }
    return [name for name, true in wrong.items() if true]


def fitting(page: Page, size: ViewportSize) -> bool:
    return not collisions(page, size)


@pytest.mark.parametrize("phone", [False, True], ids=["wide", "phone"])
def test_nothing_jumps_while_a_page_loads_or_collides_on_small_windows_and_at_200_percent(
    browser: Browser, stack, prediction, phone
):
    shifted = {}
    # Chromium measures no shift with `is_mobile`.
    look = {"viewport": PHONE if phone else WIDE, "has_touch": phone}
    for path in PATHS:
        with new_context(browser, **look) as context:  # A cold visit.
            page = context.new_page()
            page.add_init_script(f"({SHIFTS})()")
            visit(page, stack, path.format(prediction=prediction), token_of(stack))
            shifted[path] = round(page.evaluate("window.shifted"), 3)
            for size in SMALL if phone else ():
                page.set_viewport_size(size)
                # Charts are drawn anew a moment after the window has changed.
                fits = partial(fitting, page, size)
                assert eventually(fits), (path, size, collisions(page, size))
    assert max(shifted.values()) <= 0.05, shifted


def without_the_api(page: Page, stack) -> None:
    page.route(f"{stack.api_url}/**", lambda route: route.abort())


def test_axe_finds_nothing_with_the_api_down(page, stack, prediction):
    without_the_api(page, stack)
    wrong = []
    for path in PATHS:
        visit(page, stack, path.format(prediction=prediction), token_of(stack))
        wrong += [f"{path} {violation}" for violation in violations_in_both(page)]
    assert wrong == []
