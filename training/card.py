"""A version's `card.md`: what it is for, what it was made of, how good it is, where it fails."""

from typing import Any


def interval(metric: dict[str, Any], digits: int = 3) -> str:
    """`0.912 (0.880 to 0.941)`, or why there is no number."""
    if metric["value"] is None:
        return f"undefined: {metric['reason']}"
    value, low, high = (f"{metric[k]:.{digits}f}" for k in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def write(metadata: dict[str, Any]) -> str:
    """The card, in Markdown, of a version's metadata."""
    metrics, sides = metadata["metrics"], metadata["images"]
    names = {
        "accuracy": "Accuracy",
        "precision": "Precision",
        "recall": "Recall",
        "f1": "F1",
        "auc": "AUC",
    }
    rows = "\n".join(f"| {title} | {interval(metrics[key])} |" for key, title in names.items())
    images = "\n".join(
        f"| {side} | {n['clickbait_real']} | {n['clickbait_fake']} |" for side, n in sides.items()
    )
    ece = metrics.get("expected_calibration_error")
    calibration = (
        f"Expected calibration error {ece['before']:.3f} before and {ece['after']:.3f} after "
        f"calibration; a perfectly calibrated model shows {ece['perfect_at_this_n']:.3f} at "
        f"{metrics['images']} images."
        if ece
        else "No test images, so the calibration was not measured."
    )
    band = metadata["uncertain_band"]
    start = f", started from {metadata['from']}" if metadata["from"] else ""
    return f"""# Model {metadata["model_version"]}

{metadata["architecture"]}{start}; {metadata["epochs_trained"]} epochs, {metadata["training_date"]}.
Says how likely a video's thumbnail is clickbait (`clickbait_fake`) rather than legitimate
(`clickbait_real`).

## Use
For a first opinion on many thumbnails. The title and the video, which decide whether a thumbnail
is honest, are not looked at: do not punish anybody on its word alone. Thumbnails of other places,
languages or years than those below are judged worse than the numbers say.

## Images
| side | legitimate | clickbait |
|---|---|---|
{images}

Groups of images that look alike, and near-duplicates, are on one side together.
Dataset `{metadata["dataset_digest"][:16]}`.

## How good
On the test side, through the exported file; in brackets {metrics["intervals"]}.

| | |
|---|---|
{rows}

{calibration}
Between {band["low"]:.2f} and {band["high"]:.2f} a verdict is called uncertain: it is right less
often than {band["promise"]:.0%}.
Curves, and the most confident mistakes: `plots/`. Accuracy of each group: `metrics.json`.
"""
