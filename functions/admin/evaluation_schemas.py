"""Response models of `functions.admin.evaluation`."""

from typing import Literal

from pydantic import BaseModel, Field

from clickbait import Label


class Band(BaseModel):
    """Probabilities between which a prediction is uncertain."""

    low: float
    high: float


class ConfusionMatrix(BaseModel):
    """Images by true class (rows) and predicted class (columns), in the order of `labels`."""

    labels: list[Label]
    rows: Literal["true class"]
    columns: Literal["predicted class"]
    counts: list[list[int]]


class RocPoint(BaseModel):
    """The rates at one threshold."""

    false_positive_rate: float = Field(ge=0, le=1)
    true_positive_rate: float = Field(ge=0, le=1)


class Roc(BaseModel):
    """The receiver operating characteristic."""

    auc: float | None = Field(description="area under the curve; null without both classes")
    reason: str | None = Field(description="why it is null")
    points: list[RocPoint] = Field(
        description="from (0, 0) to (1, 1), 201 at most; none without both classes"
    )


class AtThreshold(BaseModel):
    """Figures if `threshold` decides what is clickbait; null if undefined."""

    threshold: float
    precision: float | None
    recall: float | None
    accuracy: float | None
    called: float | None = Field(description="share of the images predicted as clickbait")


class ReliabilityBin(BaseModel):
    """Images with a probability from `low` to below `high`; null without images."""

    low: float
    high: float
    images: int
    mean_probability: float | None
    share_clickbait: float | None = Field(description="by their labels")


class FeatureEffect(BaseModel):
    """Spearman's rank correlation of an image feature over the test images, -1 to 1."""

    name: Literal["brightness", "contrast", "saturation", "colourfulness"]
    with_probability: float | None = Field(description="with the model's probability")
    with_label: float | None = Field(description="with the label")
    reason: str | None = Field(description="why one of them is null")


class Mistake(BaseModel):
    """A test image with a wrong prediction."""

    file: str = Field(description="name in the manifest; for a run, the key in the data bucket")
    sha256: str
    label: Label = Field(description="the correct label")
    probability: float = Field(ge=0, le=1, description="of clickbait, by the model")
    url: str | None = Field(
        description="link to the image, works for five minutes; null if train/ no longer has it"
    )


class Evaluation(BaseModel):
    """The results of a version on its test images, from which it never learned."""

    version: str
    images: int = Field(ge=0)
    threshold: float
    uncertain_band: Band
    confusion_matrix: ConfusionMatrix
    roc: Roc
    thresholds: list[AtThreshold] = Field(description="0.00, 0.01 and so on to 1.00")
    reliability: list[ReliabilityBin] = Field(description="ten, of equal width")
    features: list[FeatureEffect] = Field(
        description="how image features correlate with the prediction"
    )
    mistakes: list[Mistake] = Field(description="the 24 most confident ones, worst first")
