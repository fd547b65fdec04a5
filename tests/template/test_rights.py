"""Each role has the rights that its function's calls need, and no right without a call.

The functions run in a cloud in memory, through their handlers. Every request that they make of AWS
is recorded with the role that would make it, and compared with the policies of the template.
"""

import asyncio
import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from clickbait import LABELS, aws, keys
from clickbait.settings import CHECKOUT_BASELINE, settings
from clickbait.store import access_keys, answers, batches, history, labelled, monitoring, unsure
from clickbait.store.access_keys import AccessKeys
from clickbait.store.drop_folder import DropFolder
from clickbait.store.live import LiveModel
from clickbait.store.registry import Registry
from clickbait.store.results import Row
from clickbait.store.rows import Rows, now
from clickbait.store.runs import LEASE, Runs
from clickbait.store.triggers import TIMER_MESSAGE
from clickbait.web import callers
from functions.admin import app as admin
from functions.batch import app as batch
from functions.batch import worker
from functions.learn import app as learn
from functions.predict import app as predict
from functions.retrain import app as retrain
from functions.rollout import app as rollout
from tests.cloud import TABLE, cloud_in_memory, inserted, new_client
from tests.samples.classes import framed
from tests.samples.drawn import encoded, picture
from tests.template.test_permissions import (
    DEFINITION,
    DEPLOYMENTS,
    JOBS,
    PARTITIONS,
    ROOT,
    allowed,
)

TOKEN = "the-admins-token"
FAKE, REAL = LABELS
BASELINE = json.loads((CHECKOUT_BASELINE / "metadata.json").read_bytes())
UNSURE = "20990101-000000-aaaaaa"
"""A version whose every prediction is unsure."""
TUNED = "20990101-000001-aaaaaa"
"""A version that was fine-tuned."""

FUNCTIONS = [
    *("PredictRole", "RolloutRole", "BatchRole", "WorkerRole"),
    *("AdminRole", "RetrainRole", "LearnRole"),
]

NAMES = {"data": "DataBucket", "models": "ModelsBucket", TABLE: "Table", "token": "AdminSecret"}
QUEUES = {"uploads": "UploadsQueue", "learn": "LearnQueue"}

OF_LAMBDA = {
    *("logs:CreateLogStream", "logs:PutLogEvents"),
    *("xray:PutTraceSegments", "xray:PutTelemetryRecords"),
    *("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
}
"""Lambda itself uses these with the role of a function: for its logs, traces and queue."""

WITHOUT_A_CALL = {
    ("BatchRole", "s3:AbortMultipartUpload", "DataBucket/results/*"): "only after a fault of S3",
    ("WorkerRole", "s3:AbortMultipartUpload", "DataBucket/results/*"): "only after a fault of S3",
    **{
        (role, "s3:GetObject", "ModelsBucket/promotions/*"): "only if champion.json is damaged"
        for role in ("PredictRole", "BatchRole", "WorkerRole", "RetrainRole")
    },
}
"""Rights of functions that no call here needs, and why they have them."""


WITHOUT_AWS = {("GET", "/"), ("GET", "/docs-info")}
"""Routes that ask nothing of AWS."""

ASKED: set[tuple[str, str]] = set()
"""The requests to the API, by method and path."""


class Need(NamedTuple):
    """A right that a call needs: the action on a resource and, for the table, its partition.

    Without one that is not `required`, the call succeeds, but says less if it fails.
    """

    action: str
    resource: str
    partition: str = ""
    required: bool = True


def needs(service: str, operation: str, given: dict[str, Any]) -> Iterator[Need]:
    """The rights that a call needs, from its parameters, as IAM checks them."""
    match service, operation, given:
        case "s3", "ListObjectsV2", {"Bucket": bucket}:
            yield Need("s3:ListBucket", NAMES[bucket])
        case "s3", "GetObject" | "HeadObject", {"Bucket": bucket, "Key": key}:
            version = "Version" if "VersionId" in given else ""
            yield Need(f"s3:GetObject{version}", f"{NAMES[bucket]}/{key}")
            # Without it, S3 answers 403 for a missing object.
            yield Need("s3:ListBucket", NAMES[bucket], required=False)
        case "s3", "CopyObject", {"Bucket": bucket, "Key": key, "CopySource": source}:
            version = "Version" if "VersionId" in source else ""
            yield Need(f"s3:GetObject{version}", f"{NAMES[source['Bucket']]}/{source['Key']}")
            yield Need("s3:PutObject", f"{NAMES[bucket]}/{key}")
        case (
            "s3",
            "PutObject" | "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload",
            {"Bucket": bucket, "Key": key},
        ):
            yield Need("s3:PutObject", f"{NAMES[bucket]}/{key}")
        case "s3", "DeleteObject" | "AbortMultipartUpload", {"Bucket": bucket, "Key": key}:
            version = "Version" if "VersionId" in given else ""
            yield Need(f"s3:{operation}{version}", f"{NAMES[bucket]}/{key}")
        case "dynamodb", "TransactWriteItems", {"TransactItems": items}:
            for item in items:
                ((kind, one),) = item.items()
                yield from needs("dynamodb", f"{kind}Item", one)
        case "dynamodb", "BatchGetItem", {"RequestItems": tables}:
            for table, asked in tables.items():
                for key in asked["Keys"]:
                    yield Need("dynamodb:BatchGetItem", NAMES[table], key["pk"]["S"])
        case "dynamodb", "BatchWriteItem", {"RequestItems": tables}:
            for table, puts in tables.items():
                for put in puts:
                    place = put["PutRequest"]["Item"]["pk"]["S"]
                    yield Need("dynamodb:BatchWriteItem", NAMES[table], place)
        case "dynamodb", "BatchExecuteStatement", {"Statements": statements}:
            for table, item in map(inserted, statements):
                yield Need("dynamodb:PartiQLInsert", NAMES[table], item["pk"]["S"])
        case "dynamodb", _, {"TableName": table}:
            place = given.get("Key") or given.get("Item")
            place = place or {"pk": given["ExpressionAttributeValues"][":pk"]}
            yield Need(f"dynamodb:{operation}", NAMES[table], place["pk"]["S"])
        case "sqs", "SendMessage" | "GetQueueAttributes", {"QueueUrl": url}:
            yield Need(f"sqs:{operation}", QUEUES[url.rsplit("/", 1)[-1]])
        case "secretsmanager", "GetSecretValue", {"SecretId": secret}:
            yield Need("secretsmanager:GetSecretValue", NAMES[secret])
        case "cloudwatch", "GetMetricData", _:
            yield Need("cloudwatch:GetMetricData", "*")
        case "batch", "SubmitJob", {"jobDefinition": "definition", "jobQueue": "queue"}:
            yield Need("batch:SubmitJob", "JobQueue")
            yield Need("batch:SubmitJob", DEFINITION)
            yield Need("batch:SubmitJob", f"{DEFINITION}:*")  # its newest revision
        case "batch", "DescribeJobs" | "ListJobs", _:
            yield Need(f"batch:{operation}", "*")
        case "batch", "TerminateJob", {"jobId": "job"}:
            yield Need("batch:TerminateJob", JOBS)
        case "sns", "Publish", {"TopicArn": "topic"}:
            yield Need("sns:Publish", "NotifyTopic")
        case "lambda", "Invoke", {"FunctionName": "predict:7"}:
            yield Need("lambda:InvokeFunction", "PredictFunction:*")
        case "codedeploy", "PutLifecycleEventHookExecutionStatus", _:
            yield Need("codedeploy:PutLifecycleEventHookExecutionStatus", DEPLOYMENTS)
        case _:
            raise AssertionError(f"no right is known for {service} {operation} {given}")


class Recorder:
    """Records what clients ask of AWS, if a role acts, and answers for services without a cloud."""

    def __init__(self) -> None:
        self.role = ""
        self.key = ""
        """A key with which anybody may predict."""
        self.found: dict[str, set[Need]] = {role: set() for role in FUNCTIONS}

    @contextmanager
    def acting(self, role: str) -> Iterator[None]:
        """Within it, calls are those of `role`, or of nobody if it is empty."""
        before, self.role = self.role, role
        try:
            yield
        finally:
            self.role = before

    def put(self, key: str, data: bytes = b"", bucket: str = "data") -> None:
        """Store an object, by default a drawn image, as a person does."""
        data = data or encoded(picture((64, 64), seed=sum(key.encode())))
        with self.acting(""):
            aws.client("s3").put_object(Bucket=bucket, Key=key, Body=data, ContentType="image/jpeg")

    def client(self, service: str, **options: Any) -> Any:
        """A client that is recorded, in place of `aws._new_client`."""
        client = new_client(service, **options)
        client.meta.events.register("provide-client-params", self._record)
        for operation, answer in {
            "batch.SubmitJob": lambda _: {"jobId": "job", "jobName": "job"},
            # It has waited for a machine for years, so it is stopped.
            "batch.DescribeJobs": lambda _: {"jobs": [{"status": "RUNNABLE", "createdAt": 0}]},
            "batch.ListJobs": lambda _: {"jobSummaryList": []},
            "batch.TerminateJob": lambda _: {},
            "sns.Publish": lambda _: {"MessageId": "1"},
            "codedeploy.PutLifecycleEventHookExecutionStatus": lambda _: {},
            "lambda.Invoke": self._invoked,
        }.items():
            client.meta.events.register(f"before-call.{operation}", _answering(answer))
        if service == "s3":
            sign = client.generate_presigned_post

            def post(Bucket: str, Key: str, **more: Any) -> Any:
                # A form can do no more than the function that signs it.
                self._note("s3", "PutObject", {"Bucket": Bucket, "Key": Key})
                return sign(Bucket=Bucket, Key=Key, **more)

            client.generate_presigned_post = post
            sign_link = client.generate_presigned_url

            def link(operation: str, Params: dict[str, str], **more: Any) -> Any:
                assert operation == "get_object"
                self._note("s3", "GetObject", Params)
                return sign_link(operation, Params=Params, **more)

            client.generate_presigned_url = link
        return client

    def _record(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if model.name != "CreateBucket":  # botocore's event for a form, without a key: see `post`.
            self._note(model.service_model.service_name, model.name, params)

    def _note(self, service: str, operation: str, params: dict[str, Any]) -> None:
        if self.role:
            self.found[self.role].update(needs(service, operation, params))

    def _invoked(self, params: dict[str, Any]) -> dict[str, Any]:
        with self.acting(""):  # The calls of the version are its own.
            answer = predict.handler(json.loads(params["body"]), SimpleNamespace())
            kept()
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


def _answering(answer: Callable[[dict[str, Any]], Any]) -> Callable[..., Any]:
    return lambda params, **_: (SimpleNamespace(status_code=200), answer(params))


# --- what the functions are asked for ------------------------------------------------------------


def http(
    handler: Any,
    method: str,
    path: str,
    body: Any = None,
    kind: str = "",
    *,
    token: str = TOKEN,
    **query: str,
) -> Any:
    """The JSON answer of a function to a request, by default of the admin, which must succeed."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "&".join(f"{name}={value}" for name, value in query.items()),
        "headers": {
            "authorization": f"Bearer {token}",
            "content-type": kind
            or ("image/jpeg" if isinstance(body, bytes) else "application/json"),
        },
        "requestContext": {
            "requestId": "1",
            "stage": "$default",
            "http": {
                "method": method,
                "path": path,
                "sourceIp": "127.0.0.1",
                "userAgent": "test",
                "protocol": "HTTP/1.1",
            },
        },
        "body": base64.b64encode(data).decode(),
        "isBase64Encoded": True,
    }
    ASKED.add((method, path))
    answer = handler(event, SimpleNamespace(aws_request_id="1"))
    assert answer["statusCode"] < 400, (method, path, answer)
    text = answer["body"]
    return json.loads(text) if text.startswith(("{", "[")) else text


@contextmanager
def no_loop_running() -> Iterator[None]:
    """Playwright's loop runs in this thread as long as the session's browser is open, and Mangum
    would ask that loop."""
    running = asyncio.events._get_running_loop()
    asyncio.events._set_running_loop(None)
    try:
        yield
    finally:
        asyncio.events._set_running_loop(running)


def form(field: str, images: int = 1, **fields: str) -> tuple[bytes, str]:
    """A form with an image as `field`, or several, and its content type."""
    parts = {f'name="{name}"': value.encode() for name, value in fields.items()}
    parts |= {f'name="{field}"; filename="{n}.jpg"': JPEG for n in range(images)}
    body = b"".join(
        b"--x\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + part + b"\r\n"
        for head, part in parts.items()
    )
    return body + b"--x--\r\n", "multipart/form-data; boundary=x"


def uploaded(*names: str, receives: int = 1) -> dict[str, Any]:
    """An event of SQS with a message of S3 for each key."""
    records = [
        {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "data"}, "object": {"key": name}},
        }
        for name in names
    ]
    return messages(*({"Records": [record]} for record in records), receives=receives)


def messages(*bodies: Any, receives: int = 1) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": str(number),
                "eventSource": "aws:sqs",
                "attributes": {"ApproximateReceiveCount": str(receives)},
                "body": json.dumps(body),
            }
            for number, body in enumerate(bodies)
        ]
    }


def kept() -> None:
    """Wait until an unsure image is kept."""
    if found := unsure.unsure()._last:
        found.result()


def succeeds(answer: Any) -> None:
    assert answer in (None, {"batchItemFailures": []}), answer


JPEG = encoded(picture())


def use_predict(recorder: Recorder) -> None:
    key = f"{keys.UPLOADS}{'a' * 32}"
    recorder.put(key)
    for path in ("/status", "/system-check", "/model-info"):
        http(predict.handler, "GET", path)
    assert http(predict.handler, "POST", "/predict", JPEG)["uncertain"]
    http(predict.handler, "POST", "/predict", JPEG, token=recorder.key)
    http(predict.handler, "POST", "/predict", {"key": key})
    kept()


def use_rollout(recorder: Recorder) -> None:
    deployment = {"DeploymentId": "d", "LifecycleEventHookExecutionId": "h"}
    assert rollout.handler(deployment, None)["status"] == "Succeeded"


def use_batch(recorder: Recorder) -> None:
    for token in (TOKEN, recorder.key):
        http(batch.handler, "POST", "/predict-batch", *form("files", 2), token=token)
    training = {"content_type": "image/jpeg", "purpose": "training", "label": "clickbait"}
    http(batch.handler, "POST", "/uploads", {"purpose": "image", "content_type": "image/jpeg"})
    http(batch.handler, "POST", "/uploads", training)
    http(batch.handler, "POST", "/uploads", training | {"folder": "exam"})
    named = http(batch.handler, "POST", "/batches", {"files": ["a.jpg", "b.jpg"]})["id"]
    http(batch.handler, "GET", f"/batches/{named}/uploads")
    http(batch.handler, "POST", f"/batches/{named}/start")
    http(batch.handler, "GET", f"/batches/{named}")
    for kind in ("json", "csv", "link"):
        http(batch.handler, "GET", f"/batches/{named}/results", format=kind)
    with recorder.acting(""):
        Rows(TABLE, named).put(Row("c.jpg", "c.jpg", now(), etag="e", prediction=FAKE))
    http(batch.handler, "GET", f"/batches/{named}/results", links="true")
    http(batch.handler, "GET", "/batches")
    http(batch.handler, "PATCH", f"/batches/{named}", {"name": "Monday"})


def use_worker(recorder: Recorder) -> None:
    places = ["inbox/spring/a.jpg", "inbox/spring/b.jpg", "inbox/spring/bad.jpg", "inbox/lost.jpg"]
    with recorder.acting(""):
        named = http(batch.handler, "POST", "/batches", {"files": ["a.jpg"]})
        places.append(named["uploads"]["items"][0]["fields"]["key"])
        batches._names.cache_clear()
    for key in places:
        recorder.put(key, b"no image" if "bad" in key else b"")
    with recorder.acting(""):
        http(batch.handler, "POST", f"/batches/{named['id']}/start")
        batches._names.cache_clear()
    succeeds(worker.handler(uploaded(*places), None))
    succeeds(worker.handler(uploaded(*places, receives=2), None))


def use_admin(recorder: Recorder) -> None:
    def ask(method: str, path: str, body: Any = None, kind: str = "", **query: str) -> Any:
        return http(admin.handler, method, path, body, kind, **query)

    # Models.
    for path in ("/models", "/promotions", f"/models/{UNSURE}"):
        ask("GET", path)
    for part in ("evaluation", "files"):
        ask("GET", f"/models/{UNSURE}/{part}")
    ask("PATCH", f"/models/{UNSURE}", {"name": "the unsure one"})
    ask("POST", f"/models/{UNSURE}/predict", JPEG)
    baseline = BASELINE["model_version"]
    ask("POST", f"/models/{baseline}/promote", {"reason": "a test", "force": True})
    ask("PUT", "/threshold", {"threshold": 0.4, "reason": "a test"})
    # Labelled images.
    monitoring.forget()  # Figures of an earlier test, which would be answered without a call.
    for path in ("/dataset", "/dataset/export", "/metrics", "/debug"):
        ask("GET", path)
    # Predictions of an upload, of a kept image and of a batch, with links to their images.
    with recorder.acting(""):
        upload = f"{keys.UPLOADS}{'a' * 32}"
        history.log(http(predict.handler, "POST", "/predict", JPEG), "predict", key=upload)
    logged = [one for one in ask("GET", "/predictions")["items"] if one["url"]]
    folders = {keys.INBOX, keys.REVIEW, keys.UPLOADS}
    assert all(any(f"/{folder}" in one["url"] for one in logged) for folder in folders)
    for one in logged:
        ask("GET", f"/predictions/{one['id']}")
    ask("GET", "/dataset/images", show="rejected")
    one, other, *_ = ask("GET", "/dataset/images")["items"]
    assert (one["folder"], other["folder"]) == ("exam", "train")
    for image in (one, other):
        changed = ask("PATCH", f"/dataset/images/{image['id']}", {"label": REAL})
        ask("POST", f"/dataset/changes/{changed['change']}/undo")
        removed = ask("DELETE", f"/dataset/images/{image['id']}")
        ask("POST", f"/dataset/changes/{removed['change']}/undo")
    ask("POST", "/dataset/images", {"ids": [other["id"]], "folder": "exam"})
    ask("GET", "/dataset/changes")
    # Reviews of images of batches, of a kept prediction and of a labelled image.
    found = {it["id"]: it["source"] for it in ask("GET", "/review")["items"]}
    assert set(found.values()) == {"batch", "prediction", "upload"}
    for review in found:
        ask("GET", f"/review/{review}")
        ask("POST", f"/review/{review}", {"label": FAKE})
        ask("POST", f"/review/{review}/undo")
    ask("POST", "/review", {"ids": list(found), "label": REAL})
    ask("GET", "/review/decisions", batch="spring")
    # Corrections.
    for decision in ("accept", "reject"):
        given = ask("POST", "/feedback", *form("file", label="clickbait"))
        ask("GET", "/feedback")
        ask("POST", f"/feedback/{given['id']}/{decision}")
    # Keys.
    made = ask("POST", "/keys", {"name": "a", "role": "member"})
    ask("GET", "/keys")
    ask("POST", f"/keys/{made['id']}/revoke")
    # Trainings. The first is cancelled before its job is known.
    for known in (False, True):
        tuning = ask("POST", "/retrain", {"method": "fine_tuning"})["id"]
        ask("GET", f"/runs/{tuning}")
        with recorder.acting(""):
            if not known:
                aws.update_item(TABLE, keys.RUN_PARTITION, tuning, "REMOVE job", {})
        ask("POST", f"/runs/{tuning}/cancel")
        with recorder.acting(""):
            Runs.from_settings().on_job_ended({"jobName": tuning, "status": "FAILED"})
    ask("POST", "/retrain", {"method": "small_update"})
    ask("GET", "/runs")


def use_learn(recorder: Recorder) -> None:
    with recorder.acting(""):
        run = Runs.from_settings().active()
    succeeds(learn.handler(messages({"run": run}), None))
    with recorder.acting(""):
        assert Runs.from_settings().get(run)["state"] == "PROMOTED"


def use_retrain(recorder: Recorder) -> None:
    """With the version that the small update made: its next run is a small update too."""
    places = [f"train/{FAKE}/new.jpg", f"train/{FAKE}/bad.jpg", f"exam/{REAL}/new.jpg"]
    places.append(f"exam/{REAL}/bad.jpg")
    for key in places:
        recorder.put(key, b"no image" if "bad" in key else b"")
    succeeds(retrain.handler(uploaded(*places), None))
    succeeds(retrain.handler(uploaded(*places, receives=2), None))
    with recorder.acting(""):
        aws.client("s3").delete_object(Bucket="data", Key=places[2])
    succeeds(retrain.handler(uploaded(places[2]), None))
    succeeds(retrain.handler(messages(TIMER_MESSAGE), None))
    with recorder.acting(""):
        runs = Runs.from_settings()
        update = runs.active()
        assert runs.get(update)["method"] == "small_update"
        runs.end(update, "REJECTED", "The gate said no.")
        Registry("models").promote(TUNED, by="a test", reason="a test")
    # The network of this version was fine-tuned on the owner's images.
    recorder.put(f"train/{FAKE}/newer.jpg")
    succeeds(retrain.handler({"source": "schedule", "action": "daily"}, None))
    with recorder.acting(""):
        tuning = runs.active()
        assert runs.get(tuning)["method"] == "fine_tuning"
    # Its job is lost: first unknown to the lease, then to AWS Batch.
    reconcile = {"source": "schedule", "action": "reconcile"}
    with recorder.acting(""):
        aws.update_item(TABLE, keys.LOCK_PARTITION, LEASE, "REMOVE job", {})
    succeeds(retrain.handler(reconcile, None))
    with recorder.acting(""):
        values = {":job": "job"}
        aws.update_item(TABLE, keys.LOCK_PARTITION, LEASE, "SET job = :job", values)
    succeeds(retrain.handler(reconcile, None))
    event = {"source": "aws.batch", "detail-type": "Batch Job State Change"}
    succeeds(retrain.handler(event | {"detail": {"jobName": tuning, "status": "FAILED"}}, None))


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    """All calls to AWS of the functions, used as the API, the queues and schedules use them."""
    recorder = Recorder()
    with pytest.MonkeyPatch.context() as patch, cloud_in_memory():
        aws.forget_clients()
        patch.setattr(aws, "_new_client", recorder.client)
        patch.setattr(callers, "token", callers.Token())
        prepare(patch, recorder)
        for role, use in {
            "PredictRole": use_predict,
            "BatchRole": use_batch,
            "RolloutRole": use_rollout,
            "WorkerRole": use_worker,
            "AdminRole": use_admin,
            "LearnRole": use_learn,
            "RetrainRole": use_retrain,
        }.items():
            # Each function is a process of its own.
            callers.token.forget()
            access_keys.gate.cache_clear()
            labelled.known_copies.forget()
            batches._names.cache_clear()
            with recorder.acting(role), no_loop_running():
                use(recorder)
        yield recorder
    settings.cache_clear()
    labelled.known_copies.forget()
    aws.forget_clients()


def prepare(patch: pytest.MonkeyPatch, recorder: Recorder) -> None:
    """The buckets, queues, settings, models and labelled images of a stack."""
    s3, sqs = aws.client("s3"), aws.client("sqs")
    for bucket in ("data", "models"):
        s3.create_bucket(Bucket=bucket)
        enabled = {"Status": "Enabled"}
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
    urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in QUEUES}
    aws.client("secretsmanager").create_secret(Name="token", SecretString=TOKEN)
    for name, value in {
        "DATA_BUCKET": "data",
        "MODELS_BUCKET": "models",
        "TABLE": TABLE,
        "JOB_QUEUE": "queue",
        "JOB_DEFINITION": "definition",
        "UPLOADS_QUEUE": urls["uploads"],
        "LEARN_QUEUE": urls["learn"],
        "NOTIFY_TOPIC": "topic",
        "ADMIN_SECRET": "token",
        "KEEP_UNSURE": "5",
        "PREDICT_ACCESS": "keys",
        "MIN_NEW_IMAGES": "1",
        "QUIET_PERIOD": "0",
        "NEW_VERSION": "predict:7",
    }.items():
        patch.setenv(name, value)
    settings.cache_clear()
    labelled.known_copies.forget()
    for version, more in {
        UNSURE: {"uncertain_band": {"low": 0.0, "high": 1.0}},
        TUNED: {"from": "a"},
    }.items():
        metadata = BASELINE | {"model_version": version} | more
        for name in ("model.tflite", "reference.json", "evaluation.json"):
            data = (CHECKOUT_BASELINE / name).read_bytes()
            recorder.put(f"versions/{version}/{name}", data, "models")
        recorder.put(f"versions/{version}/metadata.json", json.dumps(metadata).encode(), "models")
    Registry("models").promote(UNSURE, by="a test", reason="a test")
    for holder in (predict.service, batch, worker):
        patch.setattr(holder, "live", LiveModel(CHECKOUT_BASELINE, Registry("models")))
    live = LiveModel(CHECKOUT_BASELINE, Registry("models"))
    patch.setattr("functions.admin.review.serving", lambda: live)
    _, recorder.key = AccessKeys(TABLE).create("a", "predict", "a test", 100, None)
    folder = DropFolder("data", TABLE)
    images = [(f"train/{label}/{seed}.jpg", label, seed) for seed in range(25) for label in LABELS]
    for key, label, seed in [*images, (f"exam/{FAKE}/1.jpg", FAKE, 99)]:
        recorder.put(key, framed(label, seed))
        folder.process(key)
    etag = s3.head_object(Bucket="data", Key=images[0][0])["ETag"].strip('"')
    answers.write("models", BASELINE["model_version"], {images[0][0]: (etag, 0.45)})


# --- the tests -----------------------------------------------------------------------------------


def covers(pattern: str, resource: str) -> bool:
    return pattern == resource or fnmatchcase(resource, pattern)


def test_the_roles_here_are_those_of_the_functions(functions):
    roles = [function["Properties"]["Role"]["Fn::GetAtt"][0] for function in functions.values()]
    assert sorted(roles) == sorted(FUNCTIONS)


def test_every_route_is_asked(recorder):
    """A route that is not may need a right that its role lacks."""
    document = json.loads((ROOT / "openapi.json").read_text("utf-8"))
    documented = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    asked = set()
    for method, path in ASKED:
        named = [it for _, it in documented if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", it), path)]
        # /promotions is not /{any}: the template with the fewest names is the one that is meant.
        asked.add((method, min(named, key=lambda it: it.count("{"))))
    assert documented - asked == WITHOUT_AWS


@pytest.mark.parametrize("role", FUNCTIONS)
def test_every_call_has_its_right(recorder, resources, role):
    rights = allowed(resources, role)
    for need in recorder.found[role]:
        if not need.required:
            continue
        assert any(covers(it, need.resource) for it in rights.get(need.action, ())), need
        if need.partition and role in PARTITIONS:
            assert any(covers(it, need.partition) for it in PARTITIONS[role]), need


@pytest.mark.parametrize("role", FUNCTIONS)
def test_every_right_has_its_call(recorder, resources, role):
    called = recorder.found[role]
    unused = {
        (role, action, pattern)
        for action, patterns in allowed(resources, role).items()
        if action not in OF_LAMBDA
        for pattern in patterns
        if not any(action == it.action and covers(pattern, it.resource) for it in called)
    }
    assert unused == {right for right in WITHOUT_A_CALL if right[0] == role}
    partitions = [need.partition for need in called if need.partition]
    for pattern in PARTITIONS.get(role, ()):
        assert any(covers(pattern, it) for it in partitions), pattern
