"""The shapes of what `functions.admin.evaluation` answers."""

from typing import Literal

from pydantic import BaseModel, Field

from clickbait import Label


class Band(BaseModel):
    """Probabilities between which a verdict is called uncertain."""

    low: float
    high: float


class ConfusionMatrix(BaseModel):
    """Images by true class (rows) and predicted class (columns), in the order of `labels`."""

    labels: list[Label]
    rows: Literal["true class"]
    columns: Literal["predicted class"]
    counts: list[list[int]]


class RocPoint(BaseModel):
    """What one threshold makes of the images."""

    false_positive_rate: float = Field(ge=0, le=1)
    true_positive_rate: float = Field(ge=0, le=1)


class Roc(BaseModel):
    """The receiver operating characteristic."""

    auc: float | None = Field(description="area under the curve; null without both classes")
    reason: str | None = Field(description="why there is none")
    points: list[RocPoint] = Field(
        description="from (0, 0) to (1, 1), 201 at most; none without both classes"
    )


class AtThreshold(BaseModel):
    """What comes of calling clickbait from `threshold` on; null where it is undefined."""

    threshold: float
    precision: float | None
    recall: float | None
    accuracy: float | None
    called: float | None = Field(description="share of the images that is called clickbait")


class ReliabilityBin(BaseModel):
    """The images whose probability lies from `low` to below `high`; null where there are none."""

    low: float
    high: float
    images: int
    mean_probability: float | None
    share_clickbait: float | None = Field(description="by their labels")


class FeatureEffect(BaseModel):
    """Spearman's rank correlation of an image feature, over the test images; -1 to 1."""

    name: Literal["brightness", "contrast", "saturation", "colourfulness"]
    with_probability: float | None = Field(description="with what the model says")
    with_label: float | None = Field(description="with what they are")
    reason: str | None = Field(description="why one of them is null")


class Mistake(BaseModel):
    """A test image that the model is wrong about."""

    file: str = Field(description="its name in the manifest; of a run, its key in the data bucket")
    sha256: str
    label: Label = Field(description="what it is")
    probability: float = Field(ge=0, le=1, description="what the model says, of clickbait")
    url: str | None = Field(
        description="to look at it, for five minutes; null where this very image does not lie in "
        "train/ now"
    )


class Evaluation(BaseModel):
    """What a version did on its test side, which it has never learned from."""

    version: str
    images: int = Field(ge=0)
    threshold: float
    uncertain_band: Band
    confusion_matrix: ConfusionMatrix
    roc: Roc
    thresholds: list[AtThreshold] = Field(description="0.00, 0.01 and so on to 1.00")
    reliability: list[ReliabilityBin] = Field(description="ten, of equal width")
    features: list[FeatureEffect] = Field(description="what of an image goes with the verdict")
    mistakes: list[Mistake] = Field(description="the 24 it is most confident of, worst first")
