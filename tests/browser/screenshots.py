"""`make screenshots`: README's pictures of the page, from a local stack with some history.

    python -m tests.browser.screenshots FOLDER [--photos FOLDER] [--everything]

The images are crops of the photographs in `--photos` (scikit-learn's two, which are CC BY 2.0, see
README); half of them get loud capitals and arrows. `--everything` takes each page at both widths,
in light and dark, instead of the few in README.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont
from playwright.sync_api import Browser, Page, expect, sync_playwright

from clickbait import LABELS
from tests.browser.conftest import (
    PATIENCE_MS,
    PHONE,
    QUIET,
    WIDE,
    as_admin,
    choose,
    chromium,
)
from tests.local_stack import LocalStack
from tests.samples.drawn import encoded
from tests.waiting import eventually

SIZE = (1280, 720)
CAPTIONS = (
    "YOU WON'T BELIEVE THIS",
    "SHE SAID WHAT?!",
    "GONE WRONG",
    "TOP 10 SECRETS",
    "$10,000 IN 1 DAY",
)
MISLABELLED = 30
"""One in as many labelled images has the wrong label, so that there is something to review."""
OF_EACH = 110
"""Labelled images of each class: enough for the gate's test split."""
ASKED = 60
IN_BATCH = 36
CLASSIFIED = {"/": (201, 1), "/classify": (198, 4)}
"""The first image and the number of images, by page; the last one is loud."""

QUALITY = 88
"""Of the WebP files: letters stay sharp, and photographs take a fifth of a PNG's bytes."""
ENDED = {"PROMOTED", "REJECTED", "FAILED"}


@dataclass
class Picture:
    """One picture: its file, its address, and a text to wait for."""

    name: str
    path: str
    sign: str
    phone: bool = False
    dark: bool = False


def thumbnail(photo: Image.Image, seed: int, loud: bool) -> Image.Image:
    """A crop of `photo` as a thumbnail, with capitals, circle and arrow if it is `loud`."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.45, 0.95)
    width = int(photo.width * share)
    height = min(width * 9 // 16, photo.height)
    x, y = rng.integers(0, photo.width - width + 1), rng.integers(0, photo.height - height + 1)
    image = photo.crop((x, y, x + width, y + height)).resize(SIZE, Image.Resampling.LANCZOS)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if not loud:
        return ImageEnhance.Color(image).enhance(rng.uniform(0.6, 1.0))
    image = ImageEnhance.Contrast(ImageEnhance.Color(image).enhance(1.9)).enhance(1.25)
    pen = ImageDraw.Draw(image)
    centre = rng.integers(250, 1000), rng.integers(330, 560)
    box = (centre[0] - 170, centre[1] - 130, centre[0] + 170, centre[1] + 130)
    pen.ellipse(box, outline="#ff1e1e", width=16)
    pen.line((640, 690, centre[0], centre[1] + 150), fill="#ffe600", width=26)
    pen.text(
        (640, int(rng.integers(80, 140))),
        CAPTIONS[seed % len(CAPTIONS)],
        font=ImageFont.load_default(int(rng.integers(84, 108))),
        fill=("#ffe600", "white")[seed % 2],
        stroke_width=9,
        stroke_fill="black",
        anchor="mm",
    )
    return image


def thumbnails(
    photos: list[Image.Image], first: int, count: int
) -> Iterator[tuple[str, bytes, str]]:
    """`count` of them as (name, JPEG, label), loud and calm in turn."""
    for seed in range(first, first + count):
        loud = seed % 2 == 1
        image = thumbnail(photos[seed // 2 % len(photos)], seed, loud)
        name = f"{'trending' if loud else 'lecture'}-{seed:03}.jpg"
        yield name, encoded(image, quality=88), LABELS[loud]


def use(stack: LocalStack, photos: list[Image.Image]) -> str:
    """Upload labelled images, train, predict and correct; returns the run's id."""
    s3, bucket = stack.cloud("s3"), stack.description()["outputs"]["DataBucket"]
    for n, (name, data, label) in enumerate(thumbnails(photos, 1_000, 2 * OF_EACH)):
        wrong = n % MISLABELLED == MISLABELLED - 1
        folder = LABELS[(label == LABELS[1]) != wrong]
        s3.put_object(Bucket=bucket, Key=f"train/{folder}/{name}", Body=data)
    s3.put_object(Bucket=bucket, Key="train/clickbait/cut off.jpg", Body=data[:3_000])
    twin = s3.get_object(Bucket=bucket, Key="train/clickbait_fake/trending-1001.jpg")["Body"].read()
    s3.put_object(Bucket=bucket, Key="train/legitimate/the same again.jpg", Body=twin)
    with stack.admin() as admin:
        assert eventually(lambda: admin.get("/dataset").json()["images"] >= 2 * OF_EACH), (
            "the labelled images were not described"
        )
        parameters = {"skip_label_check": True, "epochs": 10}
        run: str = admin.post("/retrain", json=parameters).raise_for_status().json()["id"]
        assert eventually(lambda: admin.get(f"/runs/{run}").json()["state"] in ENDED), (
            "the training did not end"
        )
        version = admin.get("/promotions").json()["live"]["version"]
        assert eventually(lambda: admin.get("/status").json()["model_version"] == version), (
            "the new version does not serve"
        )
        kind = {"content-type": "image/jpeg"}
        for _, data, _ in thumbnails(photos, 0, ASKED):
            admin.post("/predict", content=data, headers=kind).raise_for_status()
        admin.post("/predict", content=b"no image", headers=kind)
        for name, data, label in thumbnails(photos, 500, 3):
            sent = {"file": (name, data, "image/jpeg")}
            fields = {"label": label, "prediction": LABELS[0], "model_version": version}
            admin.post("/feedback", files=sent, data=fields).raise_for_status()
    return run


def batch(page: Page, stack: LocalStack, photos: list[Image.Image]) -> str:
    """Run a batch on the page; returns its address once it has finished."""
    as_admin(page, stack, "/batch")
    files = [(name, data) for name, data, _ in thumbnails(photos, 200, IN_BATCH - 1)]
    choose(page, *files, ("holiday.jpg", b"not an image"))
    expect(page.get_by_role("heading", name="Results")).to_be_visible()
    return page.url.removeprefix(stack.description()["site_url"])


def take(
    page: Page,
    stack: LocalStack,
    photos: list[Image.Image],
    shown: Picture,
    file: Path,
    whole: bool,
) -> None:
    """Take one picture once the page has loaded: the viewport, or the `whole` page."""
    page.emulate_media(color_scheme="dark" if shown.dark else "light", reduced_motion="reduce")
    page.set_viewport_size(PHONE if shown.phone else WIDE)
    as_admin(page, stack, shown.path)
    if shown.path in CLASSIFIED:
        for name, data, _ in thumbnails(photos, *CLASSIFIED[shown.path]):
            choose(page, (name, data))
            expect(page.get_by_role("article", name=name).locator(".verdict")).to_be_visible()
    page.get_by_role("main").get_by_text(shown.sign).first.wait_for()
    for place in page.locator("main section, main .card").all() if whole else ():
        place.scroll_into_view_if_needed()  # Lazy images load when they are scrolled to.
    page.wait_for_load_state("networkidle")
    page.evaluate("scrollTo(0, 0)")
    picture = Image.open(io.BytesIO(page.screenshot(full_page=whole))).convert("RGB")
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file, quality=QUALITY, method=6)


def all_of(pages: list[Picture]) -> Iterator[Picture]:
    """Each page at both widths, in light and dark."""
    for one in {page.path: page for page in reversed(pages)}.values():
        for phone in (False, True):
            for dark in (False, True):
                kind = f"{390 if phone else 1440}-{'dark' if dark else 'light'}"
                yield Picture(f"{one.name}-{kind}", one.path, one.sign, phone, dark)


def shoot(
    browser: Browser, stack: LocalStack, photos: list[Image.Image], out: Path, everything: bool
) -> None:
    run = use(stack, photos)
    page = browser.new_page(
        viewport=WIDE
    )  # One page for all: a batch's thumbnails are in its browser.
    page.set_default_timeout(PATIENCE_MS)
    finished = batch(page, stack, photos)
    with stack.admin() as admin:
        version, shipped = (one["version"] for one in admin.get("/models").json()["items"])
    readme = [
        Picture("overview", "/", "Recent predictions"),
        Picture("classify", "/classify", "This session"),
        Picture("batch", finished, "Results"),
        Picture("data", "/data", "Duplicates"),
        Picture("model", f"/data?show=model&version={shipped}", "Most confident mistakes"),
        Picture("run", f"/models/runs/{run}", "Learning curves"),
        Picture("monitoring", "/monitoring", "Drift", dark=True),
        Picture("phone", "/classify", "This session", phone=True, dark=True),
    ]
    more = [
        Picture("models", "/models", "Release history"),
        Picture("training", "/models?show=training", "Train a new model"),
        Picture("review", "/review", "Grid"),
        Picture("images", "/data?show=browse", "In training"),
        Picture("corrections", "/review?show=corrections", "Accept"),
        Picture("version", f"/models/versions/{version}", "Training details"),
        Picture("begin", "/batch", "Your batches"),
    ]
    for shown in all_of([*readme, *more]) if everything else readme:
        take(page, stack, photos, shown, out / f"{shown.name}.webp", everything)
        print(f"{shown.name}.webp", flush=True)


def main() -> None:
    """Start a stack, use it, take its pictures, stop it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--everything", action="store_true")
    options = parser.parse_args()
    photos = [Image.open(file).convert("RGB") for file in sorted(options.photos.glob("*.jpg"))]
    if not photos:
        sys.exit(f"screenshots: no photographs (*.jpg) in {options.photos}")
    with (
        tempfile.TemporaryDirectory(prefix="screenshots-") as folder,
        sync_playwright() as playwright,
    ):
        stack = LocalStack(Path(folder), MIN_NEW_IMAGES="100000")
        stack.start()
        try:
            browser = playwright.chromium.launch(executable_path=chromium(), args=list(QUIET))
            shoot(browser, stack, photos, options.out, options.everything)
            browser.close()
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
