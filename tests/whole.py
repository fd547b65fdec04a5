"""The server with every route, on the buckets, the table and the queues of a local stack."""

import httpx

from tests.local_stack import ROOT, LocalStack
from tests.waiting import DEADLINE, eventually

VARIABLES = {
    "DATA_BUCKET": "DataBucket",
    "MODELS_BUCKET": "ModelsBucket",
    "TABLE": "Table",
    "ADMIN_SECRET": "AdminSecret",
    "LEARN_QUEUE": "LearnQueue",
    "JOB_QUEUE": "JobQueue",
    "JOB_DEFINITION": "JobDefinition",
}
"""The variables of the server, each with the output of the stack that is its value."""

READ = (
    *("/debug", "/models", "/runs", "/dataset", "/dataset/export", "/review", "/keys", "/metrics"),
    *("/predictions", "/promotions", "/feedback", "/batches"),
)
PAGES = {
    *("/", "/classify", "/batch", "/review", "/data", "/models", "/monitoring", "/keys"),
    "/history",
}


def environment(stack: LocalStack) -> dict[str, str]:
    """The variables of a server on the stores of `stack`."""
    description = stack.description()
    outputs = description["outputs"]
    return {variable: outputs[name] for variable, name in VARIABLES.items()} | {
        "AWS_ENDPOINT_URL": description["cloud_url"],
        "AWS_DEFAULT_REGION": description["region"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


def check(url: str, stack: LocalStack) -> None:
    """The server at `url` has every page, reads what the stack has, and classifies a batch: the
    function of the stack that works on batches does it."""
    sample = (ROOT / "sample.jpg").read_bytes()
    with httpx.Client(base_url=url, trust_env=False, timeout=DEADLINE) as client:
        assert set(client.get("/config.json").json()["pages"]) == PAGES
        assert client.get("/system-check").json()["status"] == "ok"
        assert client.get("/models").status_code == 401
        assert client.post("/predict", files={"file": sample}).status_code == 200
        with stack.admin() as admin:
            client.headers["authorization"] = admin.headers["authorization"]
        statuses = {path: client.get(path).status_code for path in READ}
        assert statuses == dict.fromkeys(READ, 200)
        made = client.post("/batches", json={"files": ["a.jpg"]}).json()
        (form,) = made["uploads"]["items"]
        sent = httpx.post(
            form["url"], data=form["fields"], files={"file": sample}, timeout=DEADLINE
        )
        assert sent.status_code == 204, sent.text
        batch = f"/batches/{made['id']}"
        assert eventually(lambda: client.get(batch).json()["state"] == "finished")
        (row,) = client.get(f"{batch}/results").json()["items"]
        assert (row["file"], row["error"]) == ("a.jpg", None)
