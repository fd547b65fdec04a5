"""Measures the page in a real browser: the size of its first load, the time from a photograph to
its verdict, and how resizing in the browser changes verdicts.

    make up                                          # in another terminal
    python loadtest/page.py                          # weight, and ten photographs of 12 megapixels
    python loadtest/page.py --data IMAGES            # and the drift, on IMAGES' test side

Times are from choosing the file to the verdict on the page. Drift is the difference in calibrated
probability between the image that the page sends and the original file sent to the API. Images that
the page would not resize are enlarged to 1280 x 720 first.
"""

import argparse
import csv
import io
import json
import os
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, Response, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = ROOT / "training" / "baseline" / "manifest.csv"

QUIET = (
    "--no-sandbox",  # As root, which a build machine is, Chromium starts no other way.
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHOTO = (4000, 3000)
THUMBNAIL = (1280, 720)
PATIENCE_MS = 120_000
"""The deadline of every wait: a busy machine is slow, not broken."""


def photograph(seed: int) -> bytes:
    """A grainy JPEG of 12 megapixels and a few MB, different for each seed."""
    rng = np.random.default_rng(seed)
    base = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    image = base.resize(PHOTO, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(40):
        x, y, w, h = rng.integers(0, 3000, 4)
        pen.ellipse((x, y, x + w // 3, y + h // 3), fill=tuple(map(int, rng.integers(0, 256, 3))))
    grain = rng.normal(0, 6, (PHOTO[1], PHOTO[0], 1)).astype(np.int16)
    noisy = np.clip(np.asarray(image, np.int16) + grain, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def opened(browser: Browser, url: str) -> Page:
    """A page at `url` once nothing is loading."""
    page = browser.new_page()
    page.goto(url)
    page.wait_for_load_state("networkidle")
    return page


def weight(browser: Browser, site: str) -> dict[str, int]:
    """Transferred bytes of a first load of the overview, by file type."""
    page = opened(browser, site)
    sizes: list[list[Any]] = page.evaluate(
        """() => performance.getEntriesByType("resource")
            .map((one) => [new URL(one.name).pathname, one.encodedBodySize])"""
    )
    page.close()
    return {
        kind: sum(size for path, size in sizes if path.endswith(f".{kind}"))
        for kind in ("js", "css")
    }


def is_prediction(answer: Response) -> bool:
    return "/predict?" in answer.url and answer.request.method == "POST"


def classified(page: Page, name: str, data: bytes) -> tuple[float, int, dict[str, Any]]:
    """Choose a file on the classify page; returns milliseconds, bytes sent, and the response."""
    page.evaluate("document.querySelector('.verdict')?.remove()")
    began = time.perf_counter()
    with page.expect_response(is_prediction, timeout=PATIENCE_MS) as got:
        page.locator("input[type=file]").first.set_input_files(
            {"name": name, "mimeType": "image/jpeg", "buffer": data}
        )
    page.get_by_role("article", name=name).locator(".verdict").wait_for(timeout=PATIENCE_MS)
    took = 1e3 * (time.perf_counter() - began)
    answer: dict[str, Any] = got.value.json()
    return took, answer["image"]["bytes"], answer


def photographs(browser: Browser, site: str, rounds: int) -> None:
    page = opened(browser, f"{site}/classify")
    classified(page, "warm.jpg", photograph(10_000))
    rows = []
    for seed in range(rounds):
        data = photograph(seed)
        took, sent, _ = classified(page, f"{seed}.jpg", data)
        rows.append((took, sent, len(data)))
    page.close()
    took, sent, size = (sorted(column) for column in zip(*rows, strict=True))
    print(
        f"{rounds} photographs of {PHOTO[0]} x {PHOTO[1]}, {size[0] / 1e6:.1f} to "
        f"{size[-1] / 1e6:.1f} MB: answered in {took[0]:.0f} / {statistics.median(took):.0f} / "
        f"{took[-1]:.0f} ms (min, median, max), at most {max(sent) / 1e3:.0f} kB sent"
    )


def enlarged(path: Path) -> bytes:
    """The image as a JPEG that is large enough for the page to resize."""
    image = Image.open(path).convert("RGB")
    if image.width < THUMBNAIL[0]:
        image = image.resize(THUMBNAIL, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=97)
    return buffer.getvalue()


def drift(browser: Browser, site: str, api: str, data: Path, most: int) -> None:
    with MANIFEST.open(encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["side"] == "test"][:most]
    page = opened(browser, f"{site}/classify")
    changes, labels, unchanged = [], 0, 0
    with httpx.Client(base_url=api, trust_env=False, timeout=40) as client:
        for at, name in enumerate(names):
            original = enlarged(data / name)
            _, _, seen = classified(page, f"{at}.jpg", original)
            if seen["image"]["bytes"] == len(original):
                unchanged += 1
                continue
            answer = client.post(
                "/predict", content=original, headers={"content-type": "image/jpeg"}
            )
            direct = answer.raise_for_status().json()
            changes.append(abs(direct["probability"] - seen["probability"]))
            labels += direct["prediction"] != seen["prediction"]
    page.close()
    if not changes:
        print(f"none of {len(names)} images was resized")
        return
    print(
        f"{len(changes)} of {len(names)} images were resized ({unchanged} sent unchanged): "
        f"probability changed by {statistics.mean(changes):.4f} on average, "
        f"{np.quantile(changes, 0.95):.4f} at p95, {max(changes):.4f} at most; "
        f"{labels} verdicts changed"
    )


def main() -> None:
    """Measure the first load, then photographs, then drift."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--state", type=Path, default=ROOT / ".local")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--data", type=Path, help="folder with the manifest's images")
    parser.add_argument("--images", type=int, default=345)
    options = parser.parse_args()
    stack = json.loads((options.state / "stack.json").read_text())
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        sizes = weight(browser, stack["site_url"])
        print(
            f"first load: {sizes['js'] / 1e3:.1f} kB of JavaScript and {sizes['css'] / 1e3:.1f} kB "
            f"of CSS transferred, {sum(sizes.values()) / 1e3:.1f} kB together"
        )
        photographs(browser, stack["site_url"], options.rounds)
        if options.data:
            drift(browser, stack["site_url"], stack["api_url"], options.data, options.images)
        browser.close()


if __name__ == "__main__":
    main()
