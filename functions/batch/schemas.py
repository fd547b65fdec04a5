"""The shapes of this function's bodies and answers, as the OpenAPI document shows them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from clickbait import Label
from clickbait.inference.images import FormatName
from clickbait.store.rows import COLUMNS
from functions.batch.batches import NewBatch
from functions.batch.uploads import Upload

__all__ = ["NewBatch", "Upload"]


class BatchImage(BaseModel):
    """What was sent, upright."""

    width: int
    height: int
    format: FormatName
    bytes: int
    sha256: str


class BatchTiming(BaseModel):
    """Milliseconds, measured in the function."""

    decode: float
    inference: float
    total: float


class FilePrediction(BaseModel):
    """The verdict on one image of several."""

    model_config = ConfigDict(protected_namespaces=())

    file: str = Field(description="the name that came with it")
    prediction: Label
    is_clickbait: bool
    probability: float = Field(ge=0, le=1, description="calibrated, of clickbait")
    confidence: float = Field(ge=0, le=1, description="probability of the class that is named")
    uncertain: bool = Field(description="the model is right less often here than it promises")
    model_version: str
    image: BatchImage
    timing_ms: BatchTiming
    cached: bool


class FileProblem(BaseModel):
    """Why one image of several has no verdict (RFC 9457), as /predict would say it."""

    model_config = ConfigDict(extra="allow")

    file: str = Field(description="the name that came with it")
    type: str
    title: str
    status: int
    detail: str
    request_id: str


class PredictBatchTotals(BaseModel):
    """What became of all images."""

    images: int = Field(ge=1)
    counts: dict[Label, int]
    failed: int = Field(ge=0)
    milliseconds: float = Field(description="for all of them, in the function")


class PredictBatchAnswer(BaseModel):
    """A result for each image, in their order."""

    model_config = ConfigDict(protected_namespaces=())

    results: list[FilePrediction | FileProblem]
    totals: PredictBatchTotals
    model_version: str
    request_id: str


class UploadForm(BaseModel):
    """A form that S3 takes: `fields` first, then the image as `file`, all to `url`."""

    key: str
    url: str
    fields: dict[str, str]


class Forms(BaseModel):
    """Forms, and what they are limited to."""

    count: int = Field(ge=0, description="forms in this answer")
    next: str | None = Field(description="`cursor` of the following page, null at the end")
    expires_in: int = Field(description="seconds that the forms work")
    max_bytes: int = Field(description="bytes of an image at most")


class UploadForms(Forms):
    """Forms for single images."""

    items: list[UploadForm]


class BatchForm(UploadForm):
    """The form of one file of a batch."""

    file: str = Field(description="its name, as it was given")


class BatchForms(Forms):
    """Forms for the files of a batch, in the order of their names."""

    items: list[BatchForm]


class BatchBegun(BaseModel):
    """A new batch, and how to fill it."""

    id: str
    expected: int
    uploads: BatchForms = Field(description="the first page")
    more_uploads: str = Field(description="where the other pages are, and this one anew")
    drop_folder: str = Field(description="or put the files here, under their names")
    start: str = Field(description="POST here when all files are there")
    status: str = Field(description="GET here how far it is")


class ResultLinks(BaseModel):
    """Where the results are."""

    json_: str = Field(alias="json")
    csv: str


class Batch(BaseModel):
    """How far a batch is."""

    id: str
    state: Literal["open", "running", "finished"] = Field(
        description="open: files are awaited until it is started"
    )
    source: Literal["files", "folder"] = Field(
        description="files: they were named first; folder: they were dropped"
    )
    expected: int = Field(description="files that were named, or that are in the folder now")
    done: int = Field(description="files with a prediction")
    failed: int = Field(description="files with an error; they are not among `done`")
    counts: dict[Label, int]
    rate: float | None = Field(description="images a second in the last minute, or on average")
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
    **ROW,
)


class BatchResults(BaseModel):
    """A page of rows, in the order of the names."""

    items: list[BatchRow]
    count: int = Field(ge=0, description="rows in this answer")
    next: str | None = Field(description="`cursor` of the following page, null at the end")


class ResultsLink(BaseModel):
    """Where all rows lie in one file."""

    url: str = Field(description="of the CSV, which a browser saves")
    expires_in: int = Field(description="seconds that the address works")
