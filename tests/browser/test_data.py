"""The data and monitoring pages: they show the API's figures, and addresses keep the view."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, Route, expect

from clickbait.settings import CHECKOUT_BASELINE
from tests.local_stack import LocalStack
from tests.samples.drawn import encoded, picture
from tests.waiting import eventually

from .conftest import (
    NETWORK_ERROR,
    as_admin,
    choose,
    violations,
    violations_in_both,
    visit,
)

pytestmark = pytest.mark.end_to_end

SHIPPED = json.loads((CHECKOUT_BASELINE / "metadata.json").read_bytes())["model_version"]


def percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def test_the_threshold_slider_shows_what_another_threshold_would_do(page, stack, complaints):
    with stack.admin() as admin:
        version = admin.get("/status").json()["model_version"]
        evaluation = admin.get(f"/models/{version}/evaluation").json()
    as_admin(page, stack, "/data?show=model")
    (hundredth,) = [one for one in evaluation["thresholds"] if one["threshold"] == 0.8]
    place = page.get_by_role("region", name="Try another threshold")
    place.get_by_role("slider").fill("0.8")
    expect(place).to_contain_text(
        f"Precision{percent(hundredth['precision'])}", use_inner_text=False
    )
    expect(place).to_contain_text(f"Recall{percent(hundredth['recall'])}", use_inner_text=False)
    place.get_by_role("button", name="Back to 0.50").click()
    at_half = next(one for one in evaluation["thresholds"] if one["threshold"] == 0.5)
    expect(place).to_contain_text(f"Recall{percent(at_half['recall'])}", use_inner_text=False)
    matrix = page.get_by_role("region", name="Confusion matrix").get_by_role("table")
    for row in evaluation["confusion_matrix"]["counts"]:
        for cell in row:
            expect(matrix).to_contain_text(str(cell))
    expect(page.get_by_text(evaluation["mistakes"][0]["file"].rsplit("/", 1)[1])).to_be_visible()
    assert complaints == []


def test_labelled_images_duplicates_and_rejected_files_are_shown_with_pictures(
    page, stack, complaints
):
    s3, bucket = stack.cloud("s3"), stack.description()["outputs"]["DataBucket"]
    same = encoded(picture(seed=501))
    for key, data in {
        "train/clickbait/figures a.jpg": same,
        "train/legitimate/figures b.jpg": same,
        "train/clickbait/figures broken.jpg": same[:2_000],
    }.items():
        s3.put_object(Bucket=bucket, Key=key, Body=data)
    with stack.admin() as admin:

        def counted() -> dict | None:
            answer = admin.get("/dataset")
            named = ("figures a.jpg", "figures b.jpg", "figures broken.jpg")
            return answer.json() if all(name in answer.text for name in named) else None

        dataset = eventually(counted)
    assert dataset, "the images were not described"
    as_admin(page, stack, "/data")
    expect(page.get_by_role("heading", name="Image appearance")).to_be_visible()
    expect(page.get_by_text("One of these labels is wrong").first).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text(dataset["rejected"]["items"][0]["detail"])
    shown = page.get_by_role("img", name="figures a.jpg").first
    shown.scroll_into_view_if_needed()
    expect(shown).to_have_js_property("naturalWidth", 640)
    assert complaints == []


@pytest.fixture
def left(page: Page, stack: LocalStack) -> Iterator[list[int]]:
    """The number of images that are still to be counted, as the service reports it to the page.

    The page's date stands still, because it follows the figures for a limited time.
    """
    left, figures = [0], re.compile(r"/dataset$")
    with stack.admin() as admin:

        def answer(route: Route) -> None:
            found = admin.get("/dataset").raise_for_status().json()
            headers = {"access-control-allow-origin": "*"}
            route.fulfill(json=found | {"counting": left[0]}, headers=headers)

        page.route(figures, answer)
        page.clock.install()
        page.clock.set_fixed_time(datetime.now(UTC))
        yield left
        page.unroute(figures)


def next_figures(page: Page) -> None:
    """Let the page load the figures again now, instead of in 15 seconds."""
    with page.expect_response(re.compile(r"/dataset$")):
        page.clock.fast_forward(15_000)


def test_numbers_are_marked_until_all_uploads_are_counted(page, stack, left, complaints):
    left[0] = 185
    as_admin(page, stack, "/data")
    main = page.get_by_role("main")
    expect(main).to_contain_text("Still counting 185 images")
    assert violations(page) == []
    left[0] = 0
    next_figures(page)
    expect(main).not_to_contain_text("Still counting")
    left[0] = 7
    visit(page, stack, "/models?show=training")
    expect(page.get_by_role("region", name="Train a new model")).to_contain_text(
        "Still counting 7 images"
    )
    assert complaints == []


def test_numbers_are_marked_if_the_service_counts_an_upload_late(page, stack, left, complaints):
    as_admin(page, stack, "/models?show=training")
    choose(page, ("counted late.jpg", encoded(picture(seed=520))))
    page.get_by_label("Legitimate", exact=True).check()
    with page.expect_response(re.compile(r"/dataset$")):
        page.get_by_role("button", name="Upload 1 image").click()
        expect(page.get_by_text("Uploaded 1 legitimate image")).to_be_visible()
        page.clock.fast_forward(5_000)
    form = page.get_by_role("region", name="Train a new model")
    expect(form).not_to_contain_text("Still counting")
    left[0] = 7
    next_figures(page)
    expect(form).to_contain_text("Still counting 7 images")
    page.get_by_role("link", name="Data", exact=True).click()
    expect(page.get_by_role("main")).to_contain_text("Still counting 7 images")
    assert complaints == []


def test_images_are_relabelled_removed_and_restored_by_keys(page, stack, complaints):
    s3, bucket = stack.cloud("s3"), stack.description()["outputs"]["DataBucket"]
    names = [f"browsed {n}.jpg" for n in range(5)]
    for n, name in enumerate(names):
        image = encoded(picture(seed=510 + n))
        s3.put_object(Bucket=bucket, Key=f"train/clickbait/{name}", Body=image)

    def labels() -> dict[str, str]:
        query = {"q": "browsed", "limit": 100}
        items = admin.get("/dataset/images", params=query).raise_for_status().json()["items"]
        return {one["name"]: one["label"] for one in items}

    with stack.admin() as admin:
        assert eventually(lambda: len(labels()) == len(names)), "the images were not described"
        as_admin(page, stack, "/data?show=browse&q=browsed")
        images = page.get_by_role("listbox", name="Images")
        expect(images.get_by_role("option")).to_have_count(5)
        images.focus()
        for key in ("Space", "ArrowRight", "Space", "ArrowRight", "Space"):
            page.keyboard.press(key)
        expect(images.get_by_role("option", selected=True)).to_have_count(3)
        page.keyboard.press("2")
        bar = page.get_by_role("region", name="Selection and undo")
        expect(bar).to_contain_text("3 images labelled legitimate")
        expect(images.get_by_role("option").filter(has_text="Legitimate")).to_have_count(3)
        assert labels() == {
            name: "clickbait_real" if n < 3 else "clickbait_fake" for n, name in enumerate(names)
        }

        images.get_by_role("option").filter(has_text=names[4]).click()
        large = page.get_by_role("dialog")
        expect(large.get_by_role("heading")).to_have_text(names[4])
        assert violations_in_both(page) == []
        page.keyboard.press("Delete")
        expect(large).to_contain_text("1 image removed")
        assert names[4] not in labels()
        page.keyboard.press("z")
        page.keyboard.press("Escape")
        expect(images.get_by_role("option")).to_have_count(5)
        assert labels()[names[4]] == "clickbait_fake"

        page.get_by_role("link", name="List of changes").click()
        page.get_by_role("button", name=f"Undo: {names[0]}").click()
        expect(page.get_by_role("listitem").filter(has_text=names[0])).to_contain_text("Undone")
        assert labels()[names[0]] == "clickbait_fake"
    assert complaints == []


def test_a_filter_of_the_images_is_in_the_address(page, stack, complaints):
    as_admin(page, stack, "/data?show=browse")
    page.get_by_role("button", name="Rejected", exact=True).click()
    expect(page).to_have_url(re.compile("only=rejected"))
    page.get_by_label("Search by name").fill("no image has this name")
    expect(page).to_have_url(re.compile("q=no"))
    expect(page.get_by_text("No matches")).to_be_visible()
    page.reload()
    rejected = page.get_by_role("button", name="Rejected", exact=True)
    expect(rejected).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Search by name")).to_have_value("no image has this name")
    assert complaints == []


def test_monitoring_shows_the_period_in_its_address(page, stack, complaints):
    with stack.client() as api:
        for seed in range(3):
            kind = {"content-type": "image/jpeg"}
            api.post("/predict", content=encoded(picture(seed=600 + seed)), headers=kind)
    with stack.admin() as admin:
        assert eventually(lambda: admin.get("/metrics").json()["totals"]["requests"] >= 3), (
            "no request was counted"
        )
    as_admin(page, stack, "/monitoring?window=1h")
    here = page.get_by_role("navigation", name="Period")
    expect(here.get_by_role("link", name="Last hour")).to_have_attribute("aria-current", "true")
    expect(page.get_by_role("img", name=re.compile("Requests")).first).to_be_visible()
    row = page.get_by_role("region", name="Functions").get_by_role("row").filter(has_text="predict")
    expect(row.first).to_contain_text(re.compile(r"\d+ of 1,769 MB|\d+ MB"))
    here.get_by_role("link", name="Last week").click()
    expect(page).to_have_url(re.compile("window=7d"))
    page.go_back()
    expect(here.get_by_role("link", name="Last hour")).to_have_attribute("aria-current", "true")
    assert complaints == []


def test_the_system_check_and_the_alarms_need_no_token(page, stack, complaints):
    visit(page, stack, "/monitoring#DriftAlarm")
    expect(page.get_by_role("region", name="System check")).to_contain_text("OK")
    page.get_by_role("button", name="Check again").click()
    expect(page.get_by_role("status").last).to_contain_text("all OK")
    expect(page.locator("#DriftAlarm")).to_have_attribute("open", "")
    assert complaints == []


def test_an_admin_sets_the_threshold_and_goes_back_to_the_models_own(page, stack, complaints):
    as_admin(page, stack, "/data?show=model")
    place = page.get_by_role("region", name="Try another threshold")
    expect(place).to_contain_text("which is the model")
    expect(place.get_by_role("button", name="Use this threshold")).to_be_disabled()
    place.get_by_role("slider").fill("0.45")
    place.get_by_role("button", name="Use this threshold").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("of verdicts are right")
    dialog.get_by_label("Reason").fill("Rather a false alarm than a miss.")
    dialog.get_by_role("button", name="Use this threshold").click()
    expect(place).to_contain_text("as an admin decided")
    expect(place.get_by_role("button", name="Back to 0.45")).to_be_disabled()
    assert violations(page) == []

    visit(page, stack, "/models?show=versions")
    expect(page.get_by_text("New threshold: clickbait from 45% on.")).to_be_visible()
    visit(page, stack, "/data?show=model")
    place.get_by_role("button", name="Use the model").click()
    dialog.get_by_label("Reason").fill("The test is over.")
    dialog.get_by_role("button", name="Use the model").click()
    expect(place).to_contain_text("which is the model")
    assert complaints == []


def test_an_image_is_judged_by_a_version_and_the_live_one_side_by_side(page, stack, complaints):
    s3, bucket = stack.cloud("s3"), stack.description()["outputs"]["ModelsBucket"]
    version = "20990101-000000-aaaaaa"
    with stack.admin() as admin:
        live = admin.get("/status").json()["model_version"]

    def of_live(name: str) -> bytes:
        """A file of the live version, which a test before this one may have trained."""
        if live == SHIPPED:
            return (CHECKOUT_BASELINE / name).read_bytes()
        return s3.get_object(Bucket=bucket, Key=f"versions/{live}/{name}")["Body"].read()

    metadata = json.loads(of_live("metadata.json"))
    for name, body in {
        "model.tflite": of_live("model.tflite"),
        "metadata.json": json.dumps(metadata | {"model_version": version}).encode(),
    }.items():
        s3.put_object(Bucket=bucket, Key=f"versions/{version}/{name}", Body=body)
    try:
        as_admin(page, stack, f"/models/versions/{version}")
        page.get_by_role("button", name="Try it on one of yours").click()
        choose(page, ("mine.jpg", encoded(picture(seed=77))))
        tried = page.get_by_role("region", name="Before and after")
        expect(tried.get_by_text("as before")).to_be_visible()  # It is the same model.
        expect(tried.get_by_role("heading", name="After", exact=True)).to_be_visible()
        expect(tried.get_by_role("link", name=version)).to_be_visible()
        choose(page, ("broken.jpg", b"no image"))
        expect(tried.get_by_text("Unsupported format").first).to_be_visible()
        assert violations(page) == []
    finally:
        for name in ("metadata.json", "model.tflite"):
            s3.delete_object(Bucket=bucket, Key=f"versions/{version}/{name}")
    # The browser itself reports the refused image.
    assert [one for one in complaints if NETWORK_ERROR not in one] == []
