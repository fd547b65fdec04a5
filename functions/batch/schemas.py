"""The schemas of this function's requests and responses, for the OpenAPI document."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from clickbait import Label
from clickbait.inference.images import FormatName
from clickbait.store.results import COLUMNS
from functions.batch.batches import BatchTitle, NewBatch
from functions.batch.uploads import Upload

__all__ = ["BatchTitle", "NewBatch", "Upload"]


class BatchImage(BaseModel):
    """The image that was sent; width and height are those of the upright image."""

    width: int
    height: int
    format: FormatName
    bytes: int
    sha256: str


class BatchTiming(BaseModel):
    """Milliseconds in the function."""

    decode: float
    inference: float
    total: float


class FilePrediction(BaseModel):
    """The verdict on one image of several."""

    model_config = ConfigDict(protected_namespaces=())

    file: str = Field(description="the file's name in the form")
    prediction: Label
    is_clickbait: bool
    probability: float = Field(
        ge=0, le=1, description="calibrated probability that the image is clickbait"
    )
    confidence: float = Field(ge=0, le=1, description="probability of the predicted class")
    uncertain: bool = Field(
        description="at this probability, the model is right less often than it promises, whatever "
        "the threshold"
    )
    threshold: float = Field(description="from this probability on, it is called clickbait")
    model_version: str
    image: BatchImage
    timing_ms: BatchTiming
    cached: bool
    id: str | None = Field(
        None, description="for GET /predictions/{id}; left out if the prediction is not logged"
    )


class FileProblem(BaseModel):
    """The problem of one image of several, as in POST /predict (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    file: str = Field(description="the file's name in the form")
    type: str
    title: str
    status: int
    detail: str
    request_id: str


class PredictBatchTotals(BaseModel):
    """Totals over all images of the request."""

    images: int = Field(ge=1)
    counts: dict[Label, int]
    failed: int = Field(ge=0)
    milliseconds: float = Field(description="for all images, in the function")


class PredictBatchAnswer(BaseModel):
    """A result for each image, in the order of the form."""

    model_config = ConfigDict(protected_namespaces=())

    results: list[FilePrediction | FileProblem]
    totals: PredictBatchTotals
    model_version: str
    threshold: float
    request_id: str


class UploadForm(BaseModel):
    """A form for S3: POST `fields` first, then the image as `file`, to `url`."""

    key: str
    url: str
    fields: dict[str, str]


class Forms(BaseModel):
    """Forms and their limits."""

    count: int = Field(ge=0, description="forms on this page")
    next: str | None = Field(description="`cursor` of the next page; null at the end")
    expires_in: int = Field(description="seconds until the forms expire")
    max_bytes: int = Field(description="the most bytes of an image")


class UploadForms(Forms):
    """Forms for single images."""

    items: list[UploadForm]


class BatchForm(UploadForm):
    """The form of one file of a batch."""

    file: str = Field(description="the file's name")


class BatchForms(Forms):
    """Forms for the files of a batch, in the order of their names."""

    items: list[BatchForm]


class BatchBegun(BaseModel):
    """A new batch, and the ways to add its files."""

    id: str
    expected: int
    uploads: BatchForms = Field(description="the first page")
    more_uploads: str = Field(description="the route for all pages of forms")
    drop_folder: str = Field(description="where the files may be put instead, under their names")
    start: str = Field(description="POST here when all files have arrived")
    status: str = Field(description="GET the progress here")


class ResultLinks(BaseModel):
    """Routes to the results."""

    json_: str = Field(alias="json")
    csv: str


class ListedBatch(BaseModel):
    """A batch in a list."""

    id: str
    name: str | None = Field(description="its title")
    state: Literal["open", "running", "finished"]
    source: Literal["files", "folder"]
    expected: int | None = Field(description="files that were named; null for a folder")
    rows: int = Field(ge=0, description="files that were processed; may be a few seconds late")
    failed: int | None = Field(description="null while it runs")
    counts: dict[Label, int] | None = Field(description="null while it runs")
    uncertain: int | None = Field(
        description="those of `counts` whose predictions are uncertain; null while it runs, and "
        "for batches of version 0.1.0"
    )
    created: str | None
    finished: str | None


class BatchList(BaseModel):
    """A page of batches, the newest first."""

    items: list[ListedBatch]
    count: int = Field(ge=0, description="batches on this page")
    next: str | None = Field(description="`cursor` of the next page; null at the end")


class Batch(BaseModel):
    """The progress of a batch."""

    id: str
    name: str | None = Field(description="its title, for people")
    state: Literal["open", "running", "finished"] = Field(
        description="open: files may still come, until the batch is started"
    )
    source: Literal["files", "folder"] = Field(
        description="files: named by POST /batches; folder: dropped into inbox/"
    )
    expected: int = Field(description="files that were named, or that are in the folder now")
    done: int = Field(description="files with a prediction")
    failed: int = Field(description="files with an error; not included in `done`")
    counts: dict[Label, int]
    threshold: float | None = Field(
        description="of this batch; null if its images are decided at the service's threshold"
    )
    rate: float | None = Field(
        description="images per second in the last minute, or on average once finished"
    )
    seconds_left: int | None = Field(description="at this rate")
    created: str
    started: str | None
    finished: str | None
    drop_folder: str
    results: ResultLinks


ROW: dict[str, Any] = {name: (kind, ...) for name, kind in COLUMNS.items()}

BatchRow = create_model(
    "BatchRow",
    __doc__="The result of one file: a prediction, or an error.",
    __config__=ConfigDict(protected_namespaces=()),
    id=(
        str | None,
        Field(description="the image's id for /review; null for an error, or once it is deleted"),
    ),
    url=(
        str | None,
        Field(
            description="with `links`, for an admin: a link to the image, valid for five minutes"
        ),
    ),
    **ROW,
)


class BatchResults(BaseModel):
    """A page of rows, in the order of the names."""

    items: list[BatchRow]
    count: int = Field(ge=0, description="rows on this page")
    next: str | None = Field(description="`cursor` of the next page; null at the end")


class ResultsLink(BaseModel):
    """A link to all rows in one file."""

    url: str = Field(description="of the CSV; a browser saves it")
    expires_in: int = Field(description="seconds until the URL expires")
