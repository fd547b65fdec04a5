"""Classifying an image or a link on the page: verdict, resizing, errors, navigation, the token."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Page, Request, Route, expect

from clickbait import youtube
from clickbait.errors import Problem
from tests.local_stack import ROOT, LocalStack
from tests.samples.drawn import encoded, picture
from tests.samples.video_host import BEST, ID, USUAL, StandIn, serving
from tests.waiting import DEADLINE, eventually

from .conftest import (
    DAMAGED_IMAGE,
    ENGINE,
    NETWORK_ERROR,
    as_admin,
    choose,
    sign_in,
    token_of,
    violations_in_both,
    visit,
)

pytestmark = pytest.mark.end_to_end

PAGES = ("Overview", "Classify", "Batch", "Review", "Data", "Models", "Monitoring")


def result(page: Page, name: str):
    return page.get_by_role("article", name=name)


@pytest.mark.both_engines
def test_a_file_gets_verdict_probability_and_heat_map(page, stack, complaints):
    as_admin(page, stack, "/classify")
    with page.expect_response(re.compile(r"/predict\?")) as got:
        choose(page, ROOT / "sample.jpg")
    answer = got.value.json()
    shown = result(page, "sample.jpg")
    expect(shown.locator(".verdict")).to_contain_text(f"{100 * answer['probability']:.0f}%")
    expect(shown.get_by_role("img", name=re.compile("Probability of clickbait"))).to_be_visible()
    expect(shown).to_contain_text(answer["model_version"])
    expect(shown).to_contain_text(answer["request_id"])
    # The drawing matches the response: log odds from 1 to 6 are the opacity of a cell's pixel.
    drawn = shown.locator("canvas").evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
        ".filter((_, i) => i % 4 == 3)"
    )
    strengths = [min(1, max(0, (abs(cell) - 1) / 5)) for row in answer["evidence"] for cell in row]
    assert drawn == [round(255 * strength) for strength in strengths]
    shown.get_by_label("Strength of the heat map").fill("0")
    expect(shown.locator("canvas")).to_have_css("opacity", "0")
    assert complaints == []


def test_a_large_image_is_resized_which_the_page_says_and_can_be_sent_at_full_size(page, stack):
    visit(page, stack, "/classify")
    data = encoded(Image.effect_noise((2400, 1350), 60).convert("RGB"), quality=90)
    with page.expect_response(re.compile(r"/predict\?")) as got:
        choose(page, ("large.jpg", data))
    sent = got.value.json()["image"]
    assert sent["bytes"] < 200_000 < len(data)
    shown = result(page, "large.jpg")
    expect(shown).to_contain_text("Resized from")
    expect(shown).to_contain_text(re.compile("2400 . 1350"))
    expect(shown).to_contain_text(re.compile(f"{sent['width']} . {sent['height']}"))
    with page.expect_response(re.compile(r"/predict\?")) as again:
        shown.get_by_role("button", name="Retry at full size").click()
    assert again.value.json()["image"]["bytes"] == len(data)
    expect(result(page, "large.jpg")).to_contain_text("Uploaded at original size")


@pytest.mark.both_engines
def test_a_broken_file_gets_the_services_own_words(page, stack, complaints):
    visit(page, stack, "/classify")
    with page.expect_response(re.compile(r"/predict\?")) as got:
        choose(page, ("broken.jpg", encoded(picture())[:2000]))
    problem = got.value.json()
    assert got.value.status == problem["status"] == 422
    alert = result(page, "broken.jpg").get_by_role("alert")
    expect(alert).to_contain_text(problem["title"])
    expect(alert).to_contain_text(problem["detail"])
    expect(alert).to_contain_text(problem["request_id"])
    assert all(NETWORK_ERROR in one or DAMAGED_IMAGE in one for one in complaints)


def test_a_correction_waits_for_an_admin(page, stack):
    as_admin(page, stack, "/classify")
    choose(page, ("wrong.jpg", encoded(picture(seed=77))))
    shown = result(page, "wrong.jpg")
    shown.get_by_role("button", name=re.compile("Wrong. Mark as")).click()
    expect(shown).to_contain_text("An admin will review it")
    with stack.admin() as admin:
        assert "wrong.jpg" in [one["file_name"] for one in admin.get("/feedback").json()["items"]]


def test_an_image_is_classified_from_the_overview_too(page, stack, complaints):
    visit(page, stack, "/")
    choose(page, ROOT / "sample.jpg")
    expect(result(page, "sample.jpg").locator(".verdict")).to_be_visible()
    assert complaints == []


DISPATCH = """({event, bytes}) => {
    const data = new DataTransfer();
    const [made, carries, target] = {
        paste: [ClipboardEvent, "clipboardData", document],
        drop: [DragEvent, "dataTransfer", document.querySelector(".drop")],
    }[event];
    data.items.add(new File([new Uint8Array(bytes)], `${event}.jpg`, { type: "image/jpeg" }));
    const happened = new made(event, { bubbles: true, cancelable: true });
    // Firefox gives an event of a script no files.
    Object.defineProperty(happened, carries, { value: data });
    target.dispatchEvent(happened);
}"""


@pytest.mark.both_engines
@pytest.mark.parametrize("event", ["paste", "drop"])
def test_an_image_can_be_pasted_or_dropped(page, stack, event):
    visit(page, stack, "/classify")
    data = list(encoded(picture((64, 36), seed=9)))
    page.evaluate(DISPATCH, {"event": event, "bytes": data})
    expect(result(page, f"{event}.jpg").locator(".verdict")).to_be_visible()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """It shares a busy machine with the test, so it may take as long as a test waits."""
    monkeypatch.setattr(youtube, "SECONDS", DEADLINE)
    with serving() as server:
        yield server


@pytest.fixture
def fetched(page: Page, stack: LocalStack, host: StandIn) -> StandIn:
    """The service fetches thumbnails from the stand-in, and the browser shows them from it.

    The test fetches them for the service, which knows no other host than YouTube's.
    """
    if ENGINE == "firefox":
        pytest.skip("Playwright does not get the bodies of Firefox's requests.")

    def fetch(route: Route) -> None:
        request = route.request
        if "json" not in request.headers.get("content-type", ""):
            route.continue_()
            return
        headers = {"access-control-allow-origin": "*"}
        fields = request.post_data_json
        try:
            image = youtube.thumbnail(fields.pop("youtube"), host.connect)
        except Problem as problem:
            document = {"title": problem.title, "detail": problem.detail, "status": problem.status}
            route.fulfill(status=problem.status, json=document, headers=headers)
            return
        with stack.admin() as api:
            file = {"file": ("thumbnail.jpg", image, "image/jpeg")}
            answer = api.post(request.url, files=file, data=fields)
        route.fulfill(status=answer.status_code, json=answer.json(), headers=headers)

    def show(route: Route) -> None:
        status, body = host.answers.get(urlsplit(route.request.url).path, (404, b""))
        route.fulfill(status=status, body=body, content_type="image/jpeg")

    page.route(re.compile(r"/predict\?|/feedback$"), fetch)
    page.route("https://i.ytimg.com/**", show)
    return host


PASTE = """(text) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", text);
    const init = { bubbles: true, cancelable: true, clipboardData };
    document.dispatchEvent(new ClipboardEvent("paste", init));
}"""

DRAG = """(address) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.setData("text/uri-list", address);
    const init = { bubbles: true, cancelable: true, dataTransfer };
    document.querySelector(".drop").dispatchEvent(new DragEvent("drop", init));
}"""


@pytest.mark.parametrize("event", [PASTE, DRAG], ids=["pasted", "dragged"])
def test_a_youtube_link_is_classified_and_its_thumbnail_shown(
    page, stack, fetched, complaints, event
):
    best = encoded(picture((1280, 720), seed=6))
    fetched.answers = {BEST: (200, best), USUAL: (200, encoded(picture((480, 360), seed=6)))}
    as_admin(page, stack, "/classify")
    page.evaluate(event, f"https://www.youtube.com/watch?v={ID}&t=42s")
    shown = result(page, f"YouTube video {ID}")
    expect(shown.locator(".verdict")).to_be_visible()
    expect(shown).to_contain_text(re.compile("1280 . 720, as YouTube has it"))
    width = "img => img.complete && img.naturalWidth"
    assert eventually(lambda: shown.locator("img").evaluate(width) == 1280)
    assert BEST in fetched.asked
    page.get_by_text("Use this from code").click()
    expect(shown.locator("pre")).to_contain_text(f'{{"youtube":"https://youtu.be/{ID}"}}')
    assert violations_in_both(page) == []
    assert complaints == []


def test_the_result_of_a_youtube_link_is_corrected_with_one_press(page, stack, fetched, complaints):
    best = encoded(picture((1280, 720), seed=7))
    fetched.answers = {BEST: (200, best), USUAL: (200, encoded(picture((480, 360), seed=7)))}
    as_admin(page, stack, "/classify")
    page.evaluate(PASTE, f"https://youtu.be/{ID}")
    shown = result(page, f"YouTube video {ID}")
    expect(shown.locator(".verdict")).to_be_visible()
    with page.expect_request(re.compile(r"/feedback$")) as sent:
        shown.get_by_role("button", name=re.compile("^Wrong[?] Mark as")).click()
    expect(shown).to_contain_text("An admin will review it")
    body = sent.value.post_data_json
    assert body["youtube"] == ID
    assert body["label"] != body["prediction"]
    with stack.admin() as admin:
        waiting = admin.get("/feedback?limit=100").json()["items"]
        assert [one["label"] for one in waiting if one["bytes"] == len(best)] == [body["label"]]
    assert complaints == []


def test_links_are_typed_and_any_other_text_says_what_it_is_not(page, stack, fetched):
    fetched.answers = {USUAL: (200, encoded(picture((480, 360), seed=6)))}
    visit(page, stack, "/")
    field = page.get_by_label("Link to a YouTube video")
    button = page.get_by_role("button", name="Classify the video")
    field.fill("funny cats")
    button.click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("“funny cats” is neither an image nor a link to a YouTube video")
    page.evaluate(PASTE, "https://example.com/photo.jpg")
    expect(alert).to_contain_text("Only links to YouTube videos")
    field.fill(f"youtu.be/{ID}")
    button.click()
    expect(result(page, f"YouTube video {ID}").locator(".verdict")).to_be_visible()
    expect(alert).to_have_count(0)
    expect(field).to_have_value("")


def test_a_video_that_is_gone_and_a_service_that_fetches_nothing_are_named(page, stack, fetched):
    visit(page, stack, "/classify")
    page.evaluate(PASTE, f"https://youtu.be/{ID}")
    alert = result(page, f"YouTube video {ID}").get_by_role("alert")
    expect(alert).to_contain_text("it may be deleted or private")
    headers = {"access-control-allow-origin": "*"}
    page.route(
        re.compile(r"/predict\?"),
        lambda route: route.fulfill(status=501, json={"title": "Not configured"}, headers=headers),
    )
    page.evaluate(PASTE, f"https://youtu.be/{ID}")
    expect(alert).to_contain_text("This service opens no YouTube links")
    expect(alert.get_by_role("button", name="Try again")).to_have_count(0)


def test_classified_images_stay_in_the_session(page, stack):
    visit(page, stack, "/classify")
    for seed in (1, 2):
        choose(page, (f"{seed}.jpg", encoded(picture(seed=seed))))
        expect(result(page, f"{seed}.jpg").locator(".verdict")).to_be_visible()
    page.get_by_role("button", name=re.compile(r"^1\.jpg")).click()
    expect(result(page, "1.jpg")).to_be_visible()
    page.get_by_role("link", name="Batch", exact=True).click()
    page.go_back()
    expect(page.get_by_role("heading", name="This session")).to_be_visible()


def test_a_first_visitor_sees_what_pages_are_for_and_has_samples_to_press(page, stack, complaints):
    visit(page, stack, "/")
    places = page.get_by_role("region", name="What is where").get_by_role("link")
    assert places.all_inner_texts()[0].startswith("Classify: one image or a few")
    answers = []
    for sample in ("a rocket launch", "the cat alone", "a cat with a loud caption"):
        visit(page, stack, "/classify")
        with page.expect_response(re.compile(r"/predict\?")) as got:
            page.get_by_role("button", name=f"Classify {sample}").click()
        expect(page.locator(".verdict")).to_be_visible()
        expect(page.get_by_role("button", name="Classify a rocket launch")).to_have_count(0)
        answers.append(got.value.json())
        page.get_by_role("button", name="Clear this session").click()
        expect(page.get_by_role("button", name="Classify a rocket launch")).to_be_visible()
    assert [answer["uncertain"] for answer in answers] == [False, True, False]
    assert [answer["is_clickbait"] for answer in answers[::2]] == [False, True]
    assert complaints == []


def test_two_images_are_compared_side_by_side(page, stack, complaints):
    visit(page, stack, "/classify")
    files = [
        ("sample.jpg", (ROOT / "sample.jpg").read_bytes()),
        ("plain.png", encoded(Image.new("RGB", (320, 180), "gray"), "PNG")),
    ]
    choose(page, *files)
    pair = page.get_by_role("region", name="Side by side")
    expect(pair.locator(".verdict")).to_have_count(2)
    said = pair.get_by_role("status").first
    expect(said).to_contain_text(re.compile("looks less like clickbait|about the same"))
    reasons = said.get_by_role("listitem")
    expect(reasons.filter(has_text="sample.jpg")).to_contain_text("evidence")
    # The model sees nothing in an image of one colour, and nothing is drawn over it.
    expect(reasons.filter(has_text="plain.png")).to_contain_text("No part of the image")
    expect(page.get_by_role("article", name="plain.png").locator("canvas")).to_have_count(0)
    assert violations_in_both(page) == []
    page.get_by_role("button", name="Show one image").click()
    expect(page.get_by_role("article")).to_have_count(1)
    page.get_by_role("button", name="Compare two images").click()
    expect(pair.locator(".verdict")).to_have_count(2)
    assert complaints == []


def run_code(language: str, code: str, folder: Path) -> str:
    command = {"curl": ["bash", "-c"], "Python": [sys.executable, "-c"]}
    node = ["node", "--input-type=module", "--eval"]
    done = subprocess.run(
        [*command.get(language, node), code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_code_that_the_page_offers_runs_and_is_copied(page, stack, context, tmp_path):
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit(page, stack, "/classify")
    name = 'it\'s "mine"; $HOME, really.jpg'
    (tmp_path / name).write_bytes(encoded(picture((64, 36), seed=5)))
    choose(page, (name, (tmp_path / name).read_bytes()))
    page.get_by_text("Use this from code").click()
    for language in ("curl", "Python", "JavaScript"):
        page.get_by_role("button", name=language, exact=True).click()
        code = page.locator(".use-code pre").inner_text()
        page.get_by_role("button", name=f"Copy the {language} code").click()
        page.wait_for_function(
            "async (code) => (await navigator.clipboard.readText()) === code", arg=code
        )
        assert "clickbait_" in run_code(language, code, tmp_path)


def test_every_page_has_its_link_and_its_address(page, stack, complaints):
    as_admin(page, stack, "/monitoring")
    links = page.get_by_role("navigation", name="Pages").get_by_role("link")
    assert links.all_inner_texts() == list(PAGES)
    for name in PAGES:
        links.filter(has_text=name).click()
        expect(page.get_by_role("heading", level=1, name=name)).to_be_focused()
        expect(page).to_have_title(re.compile(f"^{name}"))
        address = page.url
        page.reload()
        expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
        assert page.url == address
    page.go_back()
    expect(page.get_by_role("heading", level=1, name="Models")).to_be_visible()
    assert complaints == []


def test_an_unknown_address_is_reported(page, stack):
    visit(page, stack, "/no/such/page")
    expect(page.get_by_role("heading", level=1, name="Page not found")).to_be_visible()


def test_the_token_leaves_the_address_and_stays_in_the_tab(page, stack, complaints):
    sent: list[Request] = []

    def note(request: Request) -> None:
        sent.append(request)

    page.on("request", note)
    as_admin(page, stack, "/")
    assert "token" not in page.url
    expect(page.get_by_role("heading", name="Recent predictions")).to_be_visible()
    expect(page.get_by_label("Token")).to_have_count(0)
    assert page.evaluate("localStorage.length") == 0
    page.reload()
    expect(page.get_by_text("Predictions today")).to_be_visible()
    # It goes to the service in a header, and to nobody in an address or a referrer.
    token = token_of(stack)
    assert any(token in one.headers.get("authorization", "") for one in sent)
    assert [one.url for one in sent[1:] if token in one.url] == []
    assert [one.url for one in sent if one.headers.get("referer")] == []
    page.goto(page.url + "classify")
    page.go_back()
    assert "token" not in page.url
    assert token not in page.content() + "".join(complaints)


def test_a_link_with_a_token_works_in_a_tab_that_shows_the_page(page, stack):
    visit(page, stack, "/")
    page.evaluate("token => { location.hash = `token=${token}`; }", token_of(stack))
    expect(page.get_by_text("Predictions today")).to_be_visible()
    assert "token" not in page.url


def test_a_wrong_token_is_reported_and_can_be_corrected(page, stack):
    visit(page, stack, "/", token="not-the-token-at-all")
    form = page.get_by_role("dialog", name="Sign in")
    expect(form.get_by_role("alert")).to_contain_text("Check it, or ask for the current one")
    expect(page.get_by_label("Token")).to_have_count(1)
    form.get_by_label("Token").fill("another-wrong-token")
    with page.expect_response(re.compile("/promotions")) as got:
        form.get_by_role("button", name="Sign in").click()
    assert got.value.status == 403
    expect(form.get_by_role("alert")).to_contain_text("Check it, or ask for the current one")
    assert violations_in_both(page) == []
    sign_in(page, token_of(stack))
    expect(page.get_by_text("Predictions today")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_an_api_that_is_down_is_reported_and_a_retry_succeeds(page, stack):
    visit(page, stack, "/classify")
    api = f"{stack.api_url}/**"
    page.route(api, lambda route: route.abort("connectionrefused"))
    choose(page, ROOT / "sample.jpg")
    alert = result(page, "sample.jpg").get_by_role("alert")
    expect(alert).to_contain_text("Check your connection")
    expect(alert).to_contain_text(stack.api_url)
    page.unroute(api)
    alert.get_by_role("button", name="Try again").click()
    expect(result(page, "sample.jpg").locator(".verdict")).to_be_visible()
    # The retry replaces the failure: the session has no second entry.
    expect(page.get_by_role("heading", name="This session")).to_have_count(0)
