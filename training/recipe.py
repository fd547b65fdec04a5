"""Every knob of a training, flat and named. Each is a flag, and there are no others."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

from clickbait.inference.classifier import SIZES
from clickbait.inference.images import INPUT_SIZE
from training import Unusable

ARCHITECTURES = ("efficientnet_lite0", "cnn")


def knob(default: Any, about: str, least: float = 0, most: float = float("inf")) -> Any:
    """A field with its default, its meaning, and its closed range."""
    return field(default=default, metadata={"about": about, "least": least, "most": most})


@dataclass(frozen=True, slots=True)
class Recipe:
    """All choices of one training. The defaults are those of `make train`."""

    architecture: str = knob(
        "efficientnet_lite0", "efficientnet_lite0 (pretrained) or cnn (classic)"
    )
    size: int = knob(INPUT_SIZE, "side of the network's input in pixels", *SIZES)
    seed: int = knob(0, "of order, augmentation, dropout and mixup", 0, 2**31 - 1)

    epochs: int = knob(10, "passes over the training images at most, by each member", 1, 10_000)
    batch_size: int = knob(32, "images a step", 1, 4096)
    learning_rate: float = knob(3e-4, "peak, after one epoch of warm-up; then cosine to 0", 1e-8, 1)
    weight_decay: float = knob(1e-2, "AdamW's; 0 makes it Adam", 0, 1)
    clip_norm: float = knob(1.0, "longest gradient (global norm); 0 for no limit", 0)
    label_smoothing: float = knob(0.05, "targets s/2 and 1 - s/2 (Szegedy 2016)", 0, 0.9)
    mixup: float = knob(0.4, "alpha of mixup on the networks' inputs (Zhang 2018); 0: off", 0, 10)
    dropout: float = knob(0.2, "before the last dense unit", 0, 0.95)
    stochastic_depth: float = knob(
        0.1, "probability of skipping the last residual block (Huang 2016)", 0, 0.9
    )
    averaging: float = knob(0.99, "decay of the moving average of the weights; 0: off", 0, 0.99999)
    patience: int = knob(5, "epochs without a better validation AUC before stopping", 1, 10_000)
    keep_last: int = knob(0, "1: keep the last epoch, not the best on the validation side", 0, 1)
    members: int = knob(2, "networks trained apart; from 2 on, a student learns from them", 1, 50)
    teaching: float = knob(
        0.8, "the members' share in what the student learns (Hinton 2015); labels: the rest", 0, 1
    )

    anchor: float = knob(
        0.0, "pull towards the start in each step: this x learning rate (L2-SP, Li 2018)", 0
    )
    keep: float = knob(
        0.0, "share of the start in the final weights (WiSE-FT, Wortsman 2022)", 0, 1
    )

    frozen_blocks: int = knob(5, "first blocks that stay pretrained: 0, 3, 5, 8, 11 or 15", 0, 15)
    views: int = knob(16, "augmented views of each image behind the frozen blocks", 1, 1000)

    rotation: float = knob(15.0, "degrees at most, either way", 0, 180)
    flip: float = knob(0.5, "probability of a horizontal flip", 0, 1)
    zoom: float = knob(0.1, "in or out at most", 0, 0.9)
    shift: float = knob(0.1, "of the side at most, in each direction", 0, 1)
    colour: float = knob(0.3, "jitter of brightness, contrast, saturation and tint", 0, 1)
    grey: float = knob(0.1, "probability of losing all colour", 0, 1)
    erasing: float = knob(0.3, "probability of one rectangle painted over (Zhong 2020)", 0, 1)

    promise: float = knob(
        0.75, "a verdict that is less likely to be right is called uncertain", 0.5, 0.999
    )

    def __post_init__(self) -> None:
        """Raises Unusable for a value out of range, naming its flag."""
        if self.architecture not in ARCHITECTURES:
            raise Unusable(
                f"--architecture is {' or '.join(ARCHITECTURES)}, not {self.architecture!r}."
            )
        for f in fields(self):
            value = getattr(self, f.name)
            least, most = f.metadata["least"], f.metadata["most"]
            if f.type is not str and not least <= value <= most:
                raise Unusable(f"{flag(f.name)} is from {least} to {most}, not {value}.")
        if self.frozen_blocks not in (0, 3, 5, 8, 11, 15):
            raise Unusable(
                f"--frozen-blocks is 0, 3, 5, 8, 11 or 15 (a residual ends there), "
                f"not {self.frozen_blocks}."
            )
        if self.architecture == "cnn" and self.frozen_blocks:
            raise Unusable("--frozen-blocks is 0 for the cnn: it has no pretrained blocks.")


RECIPES = {
    "efficientnet_lite0": Recipe(),
    "cnn": Recipe(
        architecture="cnn",
        epochs=20,
        batch_size=32,
        learning_rate=1e-3,
        weight_decay=0.0,
        clip_norm=0.0,
        label_smoothing=0.0,
        dropout=0.5,
        stochastic_depth=0.0,
        averaging=0.0,
        mixup=0.0,
        members=1,
        frozen_blocks=0,
    ),
}
"""The defaults of each architecture; everything not named is as in `Recipe`."""

RETRAINING = Recipe(
    epochs=10,
    learning_rate=3e-4,
    weight_decay=0.0,
    keep_last=1,
    members=1,
    frozen_blocks=15,
    views=3,
    anchor=100.0,
    keep=0.5,
)
"""From a champion (`training.retrain`): little is trained, for a short while, and it is pulled back
to what the champion knows. `training/README.md` has the effect of each of these knobs. Nothing is
chosen on the validation side, so that its images are evidence (`training.owner`)."""
FROM_SCRATCH = {
    "efficientnet_lite0": replace(RECIPES["efficientnet_lite0"], members=1, keep_last=1),
    "cnn": replace(RECIPES["cnn"], keep_last=1),
}
"""A retraining from scratch. It trains one network: teaching another takes three times as long."""


def retraining(architecture: str, champion: str | None) -> Recipe:
    """The recipe of a retraining to `architecture`, from a champion of the architecture `champion`
    (None: from scratch). Another architecture starts from scratch, and the cnn always does."""
    if champion == architecture == RETRAINING.architecture:
        return RETRAINING
    if architecture not in FROM_SCRATCH:
        raise Unusable(f"--architecture is {' or '.join(ARCHITECTURES)}, not {architecture!r}.")
    return FROM_SCRATCH[architecture]


def flag(name: str) -> str:
    """The flag of a knob."""
    return "--" + name.replace("_", "-")
