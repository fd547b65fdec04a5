"""Failures name their true cause and heal: pages that do not load, networks, busy services."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.local_stack import ROOT

from .conftest import (
    as_admin,
    choose,
    first_of,
    holding,
    token_of,
    violations_in_both,
    visit,
)

pytestmark = pytest.mark.end_to_end

PREDICT = re.compile(r"/predict\?")
STATUS = re.compile(r"/status$")
PREFETCH = "**/assets/{batch,review,models,data,monitoring}-*.js"


def places(page):
    return page.get_by_role("navigation", name="Pages")


def alert_of(page):
    return page.get_by_role("article", name="sample.jpg").get_by_role("alert")


def verdict_of(page):
    return page.get_by_role("article", name="sample.jpg").locator(".verdict")


@pytest.mark.both_engines
def test_a_page_whose_code_does_not_load_says_so_and_heals(page, stack):
    page.route(PREFETCH, lambda route: route.abort())
    as_admin(page, stack, "/classify")
    places(page).get_by_role("link", name="Data").click()
    expect(page.get_by_role("heading", level=1, name="Data")).to_be_focused()
    expect(page.get_by_role("alert")).to_contain_text("This page could not be loaded")
    expect(page.get_by_role("button", name="Reload")).to_be_visible()
    # Other pages still open, and this one as soon as its code can be had.
    places(page).get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", name="Is it clickbait?")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("alert")).to_be_visible()
    page.unroute(PREFETCH)  # It heals by itself, in some browsers with a reload at any moment.
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_role("heading", level=1, name="Data")).to_be_visible()


def test_a_page_that_is_opened_while_its_code_is_on_the_way_says_that_it_failed(page, stack):
    code = "**/assets/data-*.js"
    held = holding(page, code)
    with page.expect_request(code):  # By itself, as the browser is idle.
        page.goto(f"{stack.site_url}#token={token_of(stack)}")
    places(page).get_by_role("link", name="Data").click()
    expect(page.get_by_role("progressbar", name="Loading the page")).to_be_visible()
    first_of(page, held).abort()
    expect(page.get_by_role("alert")).to_contain_text("This page could not be loaded")


def test_code_that_a_new_deployment_replaced_is_a_failure_with_reload(page, stack):
    page.route(PREFETCH, lambda route: route.fulfill(status=404, body="There is no such file."))
    visit(page, stack, "/batch")
    expect(page.get_by_role("alert")).to_contain_text("a new version of the page")
    with page.expect_navigation():
        page.get_by_role("button", name="Reload").click()
    page.unroute(PREFETCH)
    expect(page.get_by_text("Drop images or a folder")).to_be_visible()


@pytest.mark.both_engines
def test_pages_are_there_without_a_network_once_the_first_is_idle(page, stack, context):
    as_admin(page, stack, "/")
    scripts = "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('.js'))"
    # The page loads its others one after the other, and this one after those that are opened here.
    loaded = f"{scripts}.some((e) => /assets.history-/.test(e.name))"
    page.wait_for_function(f"() => {loaded}")
    context.set_offline(True)
    for name in ("Batch", "Review", "Data", "Models", "Monitoring", "Classify"):
        places(page).get_by_role("link", name=name).click()
        expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
        expect(page.get_by_role("button", name="Reload")).to_have_count(0)


def test_a_progress_bar_is_shown_while_a_page_loads(page, stack):
    held = holding(page, PREFETCH)
    page.goto(f"{stack.site_url}#token={token_of(stack)}")
    places(page).get_by_role("link", name="Models").click()
    expect(page.get_by_role("progressbar", name="Loading the page")).to_be_visible()
    for route in held:
        route.continue_()
    page.unroute(PREFETCH)
    expect(page.get_by_role("heading", level=1, name="Models")).to_be_visible()
    expect(page.get_by_role("progressbar", name="Loading the page")).to_have_count(0)


def test_without_a_network_the_page_says_so_and_goes_on_when_it_is_back(page, stack, context):
    visit(page, stack, "/classify")
    context.set_offline(True)
    choose(page, ROOT / "sample.jpg")
    expect(alert_of(page)).to_contain_text("You are offline")
    context.set_offline(False)
    expect(verdict_of(page)).to_be_visible()


def test_a_verdict_whose_code_does_not_load_says_so_and_heals(page, stack):
    code = "**/assets/result-*.js"
    page.route(code, lambda route: route.abort())
    visit(page, stack, "/classify")
    choose(page, ROOT / "sample.jpg")
    expect(page.get_by_role("alert")).to_contain_text("It tries again by itself")
    page.unroute(code)
    expect(verdict_of(page)).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_network_that_wants_a_sign_in_first_is_named(page, stack):
    visit(page, stack, "/classify")
    login = "<!doctype html><title>Welcome to the hotel</title>"
    origin = {"access-control-allow-origin": "*"}
    page.route(
        PREDICT, lambda route: route.fulfill(content_type="text/html", body=login, headers=origin)
    )
    choose(page, ROOT / "sample.jpg")
    expect(alert_of(page)).to_contain_text("This network blocks the service")
    page.unroute(PREDICT)
    alert_of(page).get_by_role("button", name="Try again").click()
    expect(verdict_of(page)).to_be_visible()


def test_a_busy_service_is_asked_again_when_its_seconds_are_over(page, stack):
    page.clock.install()
    visit(page, stack, "/classify")
    busy = {"title": "Busy", "detail": "All workers are busy.", "status": 503}
    headers = {
        "retry-after": "300",
        "access-control-allow-origin": "*",
        "access-control-expose-headers": "retry-after",
        "content-type": "application/problem+json",
    }
    page.route(
        PREDICT,
        lambda route: route.fulfill(status=503, body=json.dumps(busy), headers=headers),
        times=1,
    )
    choose(page, ROOT / "sample.jpg")
    expect(alert_of(page)).to_contain_text(re.compile(r"Trying again in 2\d\d s"))  # It counts.
    page.clock.run_for(300_000)
    expect(verdict_of(page)).to_be_visible()


def test_what_the_gateway_refuses_for_its_size_is_not_offered_again(page, stack):
    visit(page, stack, "/classify")
    headers = {"access-control-allow-origin": "*", "content-type": "application/json"}
    body = json.dumps({"message": "Request Entity Too Large"})
    page.route(PREDICT, lambda route: route.fulfill(status=413, body=body, headers=headers))
    choose(page, ROOT / "sample.jpg")
    expect(alert_of(page)).to_contain_text("One request holds 4 MB")
    expect(alert_of(page).get_by_role("button", name="Try again")).to_have_count(0)


def test_a_slow_answer_is_explained_before_it_comes(page, stack):
    page.clock.install()
    visit(page, stack, "/classify")
    held = holding(page, PREDICT)
    choose(page, ROOT / "sample.jpg")
    expect(page.get_by_role("article", name="sample.jpg")).to_contain_text("Analysing")
    page.clock.fast_forward(10_000)
    expect(page.get_by_role("article", name="sample.jpg")).to_contain_text("Still waiting")
    first_of(page, held).continue_()
    expect(verdict_of(page)).to_be_visible()


def test_a_model_that_does_not_load_is_a_sentence_to_visitors_and_a_task_to_an_admin(page, stack):
    problem = "champion.json names 20300101-000000-aaaaaa. The version has no metadata.json."
    with stack.client() as client:
        answer = client.get("/status").json() | {"status": "degraded", "problem": problem}
    headers = {"access-control-allow-origin": "*"}
    page.route(STATUS, lambda route: route.fulfill(json=answer, headers=headers))
    visit(page, stack, "/")
    expect(page.get_by_text("Until an admin repairs the live model")).to_be_visible()
    expect(page.get_by_text(problem)).to_have_count(0)
    assert violations_in_both(page) == []

    as_admin(page, stack, "/models?show=versions")
    task = page.get_by_role("status").filter(has_text="The live model needs repair")
    expect(task).to_contain_text(problem)
    assert violations_in_both(page) == []
    places(page).get_by_role("link", name="Overview").click()
    expect(task).to_contain_text(problem)
    task.get_by_role("link", name="Models").click()
    task.get_by_role("button", name="Make live again").click()
    answer |= {"status": "ready", "problem": None}
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("it is the right one")
    dialog.get_by_role("button", name="Make live again").click()
    expect(dialog).to_have_count(0)
    expect(task).to_have_count(0)
