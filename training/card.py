"""A version's `card.md`: its purpose, its images, how good it is, and where it fails."""

from typing import Any

STRANGER = (
    "On your own images, before it has learned from them, expect two verdicts in three to be\n"
    "right, and probabilities that are surer than that. So it was on 2,582 images that another\n"
    "person labelled."
)
"""For a version that started from no other: two had an accuracy of 0.635 and 0.641 there."""


def interval(metric: dict[str, Any], digits: int = 3) -> str:
    """`0.912 (0.880 to 0.941)`, or the reason why there is no number."""
    if metric["value"] is None:
        return f"undefined: {metric['reason']}"
    value, low, high = (f"{metric[k]:.{digits}f}" for k in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def write(metadata: dict[str, Any]) -> str:
    """The card of a version, in Markdown, from its metadata."""
    metrics, sides = metadata["metrics"], metadata["images"]
    titles = ("Accuracy", "Precision", "Recall", "F1", "AUC")
    rows = "\n".join(f"| {title} | {interval(metrics[title.lower()])} |" for title in titles)
    images = "\n".join(
        f"| {side} | {n['clickbait_real']} | {n['clickbait_fake']} |" for side, n in sides.items()
    )
    ece = metrics.get("expected_calibration_error")
    calibration = (
        f"Expected calibration error: {ece['before']:.3f} before and {ece['after']:.3f} after "
        f"calibration. A perfectly calibrated model has {ece['perfect_at_this_n']:.3f} on "
        f"{metrics['images']} images."
        if ece
        else "There are no test images, so the calibration was not measured."
    )
    band = metadata["uncertain_band"]
    start = f", trained from {metadata['from']}" if metadata["from"] else ""
    units = "group" if metrics["groups"] else "image"
    stranger = "" if metadata["from"] else f"\n{STRANGER}"
    size = metadata["preprocessing"]["size"]
    epochs = f"{metadata['epochs_trained']} epochs, " if metadata["epochs_trained"] else ""
    return f"""# Model {metadata["model_version"]}

{metadata["architecture"]}, {size} x {size} pixels{start}; {epochs}{metadata["training_date"]}.
Estimates how likely a video's thumbnail is clickbait (`clickbait_fake`) rather than legitimate
(`clickbait_real`).

## Use
For a first opinion on many thumbnails. The model does not see the title or the video, which decide
whether a thumbnail is honest: do not punish anybody on its verdict alone. On thumbnails from other
places, languages or years than those below it is less accurate than these figures.{stranger}
Black bars are cut off first. Colour profiles are not applied: pixels are read as sRGB. For Display
P3, a common wide profile, this moves the probability by about 0.02 on average (an estimate).

## Images
| side | legitimate | clickbait |
|---|---|---|
{images}

Groups of images that look alike, and near-duplicates, are on one side together.
Dataset `{metadata["dataset_digest"][:16]}`.

## How good
Measured on {metrics["measured_on"]}, through the exported file. In brackets: 95% intervals,
bootstrap by {units}.

| | |
|---|---|
{rows}

{calibration}
Between {band["low"]:.2f} and {band["high"]:.2f} a verdict is called uncertain: it is right less
often than {band["promise"]:.0%} of the time.
`plots/` has the curves and the most confident mistakes; `metrics.json` has the accuracy of each
group.
"""
