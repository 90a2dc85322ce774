"""Measures what each kind of invocation takes from AWS, and writes `usage.json`.

The function's own handlers run on moto in memory. DynamoDB's units come from the items themselves, by the rules of its
developer guide: `write_units` counts writes, `read_units` below counts reads. S3's requests are counted, and the bytes
of what the function prints and answers.
"""

import base64
import io
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from moto import mock_aws

from benchmarks.write_units import Item, count_units, item_size, project
from local.aws import BUCKET, REGION, TABLE, create_resources, new_session
from local.function import Context
from local.template import read_template, resource_properties

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.utilities.typing import LambdaContext

LISTING = 4  # photos that a client announces at once
FILE = Path(__file__).with_name("usage.json")
_ROOT = Path(__file__).parent.parent
_PHOTO = _ROOT / "local" / "t-shirt.jpg"
_READ_UNIT = 4096  # bytes
# DynamoDB adds it to each item of a table or index: "Amazon DynamoDB pricing", "data storage".
_ITEM_OVERHEAD = 100  # bytes
# What Lambda itself logs for each invocation.
_LAMBDA_LINES = (
    "START RequestId: 2f5a3c1e-8d4b-4c6a-9e7f-0a1b2c3d4e5f Version: 12\n"
    "END RequestId: 2f5a3c1e-8d4b-4c6a-9e7f-0a1b2c3d4e5f\n"
    "REPORT RequestId: 2f5a3c1e-8d4b-4c6a-9e7f-0a1b2c3d4e5f\tDuration: 63.27 ms\tBilled Duration: 64 ms\t"
    "Memory Size: 1769 MB\tMax Memory Used: 214 MB\t\n"
)
# Values of the variables in the access log's format, as long as real ones.
_REQUEST_VARIABLES = {
    "requestTime": "26/Nov/2026:12:00:00 +0000",
    "requestId": "2f5a3c1e-8d4b-4c6a-9e7f-0a1b2c3d4e5f",
    "identity.sourceIp": "203.0.113.200",
    "identity.apiKeyId": "a1b2c3d4e5",
    "httpMethod": "GET",
    "path": "/prod/classifications/2f5a3c1e8d4b4c6a9e7f0a1b2c3d4e5f/IMG_20261126_183000.jpg",
    "status": "200",
    "responseLength": "812",
    "responseLatency": "34",
    "error.message": "-",
    "error.responseType": "-",
}
_NAMES = [f"IMG_20261126_18300{number}.jpg" for number in range(LISTING)]
_STACK = "clothes-classifier"
_FUNCTION_NAME = f"{_STACK}-ClassifierFunction-a1B2c3D4e5F6"  # as long as the names that CloudFormation makes
_TRACE_ID = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "BUCKET_NAME": BUCKET,
    "TABLE_NAME": TABLE,
    "MODEL_DIR": str(_ROOT / "model"),
    "CURSOR_KEY": "local",
}


@dataclass
class Meter:
    """Counts what the clients of DynamoDB and S3 request.

    `writes` has write units by the partition that they go to, `reads` the read units, `s3` the requests by operation.
    `items` has the latest item of each id.
    """

    writes: Counter[str] = field(default_factory=Counter)
    reads: float = 0
    s3: Counter[str] = field(default_factory=Counter)
    items: dict[str, Item] = field(default_factory=dict)

    def watch(self, dynamodb: Any, s3: Any) -> None:
        """Count the requests of these clients from now on."""
        dynamodb.meta.events.register("provide-client-params.dynamodb", self._keep_parameters)
        dynamodb.meta.events.register("after-call.dynamodb", self._count_answer)
        s3.meta.events.register("after-call.s3", self._count_s3)

    def unwatch(self, dynamodb: Any, s3: Any) -> None:
        """Stop counting."""
        dynamodb.meta.events.unregister("provide-client-params.dynamodb", self._keep_parameters)
        dynamodb.meta.events.unregister("after-call.dynamodb", self._count_answer)
        s3.meta.events.unregister("after-call.s3", self._count_s3)

    def reset(self) -> None:
        """Begin again at zero. The items stay."""
        self.writes, self.reads, self.s3 = Counter(), 0, Counter()

    def _keep_parameters(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["parameters"] = params

    def _count_answer(self, parsed: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        parameters = context["parameters"]
        if model.name == "PutItem":
            self._count_put(parameters["Item"])
        else:
            self.reads += read_units(model.name, parameters, parsed)

    def _count_put(self, item: Item) -> None:
        photo_id = item["id"]["S"]
        units = count_units(self.items.get(photo_id, {}), item, resource_properties("ClassificationsTable"))
        self.items[photo_id] = item
        for (index, partition), count in units.items():
            self.writes[_partition_name(index, partition)] += count

    def _count_s3(self, model: Any, **_: Any) -> None:
        self.s3[model.name] += 1


def _partition_name(index: str, partition: str) -> str:
    """Return the name of the partition. Photos and listings are many, so their own partitions have one name."""
    if not index:
        return "table"
    return index if index == "by_batch_id" else f"{index} {partition}"


def read_units(operation: str, parameters: Mapping[str, Any], answer: Mapping[str, Any]) -> float:
    """Return the read request units of a GetItem, a BatchGetItem or a Query.

    A strongly consistent read costs a unit for each 4 KiB, an eventually consistent one half. GetItem and BatchGetItem
    round each item up, Query the sum of its items. A missing item costs as much as a small one ("DynamoDB read and
    write operations", developer guide).
    """
    if operation == "GetItem":
        return _read_units([answer.get("Item", {})], parameters)
    if operation == "Query":
        size = sum(item_size(item) for item in answer["Items"])
        return max(1, math.ceil(size / _READ_UNIT)) * (1 if parameters.get("ConsistentRead") else 0.5)
    if operation == "BatchGetItem":
        return sum(
            _read_units(answer["Responses"].get(table, []), wanted)
            for table, wanted in parameters["RequestItems"].items()
        )
    raise ValueError(operation)


def _read_units(items: Iterable[Item], parameters: Mapping[str, Any]) -> float:
    share = 1 if parameters.get("ConsistentRead") else 0.5
    return sum(max(1, math.ceil(item_size(item) / _READ_UNIT)) * share for item in items)


class Bench:
    """The function on moto, with meters. `usage` has the figures of each kind of invocation."""

    def __init__(self) -> None:
        """Use the bucket and the table of the current mock of AWS."""
        from classifier.app import get_services, lambda_handler  # noqa: PLC0415 - Powertools reads the environment then

        self.services = get_services()
        self.meter = Meter()
        self.usage: dict[str, dict[str, Any]] = {}
        self.metrics: set[tuple[str, frozenset[str]]] = set()  # names, with the names of their dimensions
        self._handler = lambda_handler

    def measure(self, kind: str, event: Any) -> Any:
        """Invoke the function, and keep what that took as the usage of this kind. Return the function's answer."""
        self.meter.reset()
        answer, output = self.invoke(event)
        self.metrics |= _find_metrics(output)
        self.usage[kind] = {
            "writes": dict(sorted(self.meter.writes.items())),
            "reads": self.meter.reads,
            "s3": dict(self.meter.s3),
            # In tens: the durations in the lines do not always have as many digits.
            "log_bytes": round(len(output.encode()) + len(_LAMBDA_LINES.encode()), -1),
            "answer_bytes": _answer_bytes(answer),
        }
        return answer

    def invoke(self, event: Any) -> tuple[Any, str]:
        """Return the function's answer and what it printed."""
        from classifier.telemetry import logger  # noqa: PLC0415 - Powertools reads the environment then

        with _captured_output(logger) as output:
            answer = self._handler(event, cast("LambdaContext", Context(function_name=_FUNCTION_NAME)))
        return answer, output.getvalue()


@contextmanager
def _captured_output(logger: "Logger") -> Iterator[io.StringIO]:
    """Collect the lines of the log and of the metrics, with the id of a trace as Lambda sets it."""
    output, handler = io.StringIO(), cast("Any", logger.registered_handler)
    before = handler.setStream(output)
    os.environ["_X_AMZN_TRACE_ID"] = _TRACE_ID
    try:
        with redirect_stdout(output):
            yield output
    finally:
        del os.environ["_X_AMZN_TRACE_ID"]
        handler.setStream(before)


def measure() -> dict[str, Any]:
    """Return the figures. The resources of `local.aws` must exist in the current mock of AWS."""
    bench = Bench()
    clients = bench.services.records.client, bench.services.bucket.client
    # The first line of a process says that it was a cold start, and the first token needs a key.
    bench.invoke(_request_event("POST", "/uploads", _announcement(_NAMES[:1])))
    bench.meter.watch(*clients)
    try:
        classified = _measure_photo(bench)
        _measure_other_ways(bench)
    finally:
        bench.meter.unwatch(*clients)
    return {
        "invocations": bench.usage,
        "record_bytes": _record_sizes(classified),
        "access_log_bytes": _access_log_bytes(),
        "custom_metrics": _count_metrics(bench),
    }


def _measure_photo(bench: Bench) -> Item:
    """Measure the way of an announced photo until the bucket's lifecycle rule deletes it. Return its record."""
    photo = _PHOTO.read_bytes()
    answer = bench.measure("announcement", _request_event("POST", "/uploads", _announcement(_NAMES)))
    listing = [item["id"] for item in json.loads(answer["body"])["items"]]
    first = listing[0]
    for photo_id in listing:  # the figures of the last one stay
        _put(bench, photo_id, photo)
        bench.measure("upload", _bucket_event("ObjectCreated:Post", photo_id))
    record = bench.meter.items[first]
    status = bench.measure("status", _request_event("GET", f"/classifications/{first}"))
    bench.measure("listing", _request_event("GET", f"/batches/{first.partition('/')[0]}"))
    agreement = json.dumps({"label": json.loads(status["body"])["label"]}).encode()
    bench.measure("confirmation", _request_event("PUT", f"/confirmations/{first}", agreement))
    bench.services.bucket.client.delete_object(Bucket=BUCKET, Key=f"uploads/{listing[1]}")
    bench.measure("expiry", _bucket_event("LifecycleExpiration:Delete", listing[1]))
    return record


def _announcement(names: Iterable[str]) -> bytes:
    return json.dumps({"files": [{"name": name, "content_type": "image/jpeg"} for name in names]}).encode()


def _measure_other_ways(bench: Bench) -> None:
    """Measure photos that nobody announced, and one that is not a photo, whose metrics differ."""
    photo = _PHOTO.read_bytes()
    _put(bench, "listing-42/front.jpg", photo)
    bench.measure("upload_without_announcement", _bucket_event("ObjectCreated:Put", "listing-42/front.jpg"))
    bench.measure("photo_in_request", _request_event("POST", "/classifications", photo, "image/jpeg"))
    _put(bench, "listing-42/text.jpg", b"not a photo")
    bench.measure("failed_upload", _bucket_event("ObjectCreated:Put", "listing-42/text.jpg"))


def _put(bench: Bench, photo_id: str, content: bytes) -> None:
    bench.services.bucket.client.put_object(Bucket=BUCKET, Key=f"uploads/{photo_id}", Body=content)


def _bucket_event(name: str, photo_id: str) -> Any:
    event = _read_event("s3")
    record = event["Records"][0]
    record["eventName"] = name
    record["s3"]["object"]["key"] = f"uploads/{photo_id}"
    return event


def _request_event(method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> Any:
    event = _read_event("api_read_classification")
    headers = event["headers"] | {"Content-Type": content_type}
    return event | {
        "httpMethod": method,
        "path": path,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "requestContext": event["requestContext"] | {"path": f"/prod{path}"},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def _read_event(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((_ROOT / "events" / f"{name}.json").read_text(encoding="utf-8"))
    return event


def _answer_bytes(answer: Mapping[str, Any]) -> int:
    """Return the bytes of the answer to a request, with its headers; 0 for another event, whose answer is dropped."""
    if "body" not in answer:
        return 0
    lines = [f"{name}: {value}\r\n" for name, values in answer["multiValueHeaders"].items() for value in values]
    return len("".join(lines).encode()) + len(answer["body"].encode())


def _find_metrics(output: str) -> set[tuple[str, frozenset[str]]]:
    """Return the metrics in CloudWatch's embedded metric format, with the names of their dimensions."""
    documents = [json.loads(line)["_aws"] for line in output.splitlines() if line.startswith('{"_aws"')]
    return {
        (metric["Name"], frozenset(dimensions))
        for document in documents
        for directive in document["CloudWatchMetrics"]
        for metric in directive["Metrics"]
        for dimensions in directive["Dimensions"]
    }


def _count_metrics(bench: Bench) -> int:
    """Return the most custom metrics that a stack has: one for each label and each error code of photos.

    The template's metric filters make one each.
    """
    from classifier.errors import InternalError, PhotoError  # noqa: PLC0415 - like the other modules of the function

    codes = [*PhotoError.__subclasses__(), InternalError]
    values = {"label": len(bench.services.description.labels), "code": len(codes)}
    emitted = sum(math.prod(values.get(name, 1) for name in dimensions) for _, dimensions in bench.metrics)
    filters = [one for one in read_template()["Resources"].values() if one["Type"] == "AWS::Logs::MetricFilter"]
    return emitted + len(filters)


def _record_sizes(record: Item) -> dict[str, int]:
    """Return the bytes that DynamoDB stores for a record: in the table, and in all indexes."""
    table = resource_properties("ClassificationsTable")
    entries = [project(record, index, table) for index in table["GlobalSecondaryIndexes"]]
    return {
        "table": item_size(record) + _ITEM_OVERHEAD,
        "indexes": sum(item_size(entry) + _ITEM_OVERHEAD for entry in entries if entry),
    }


def _access_log_bytes() -> int:
    """Return the bytes of a line of the API's access log."""
    line = resource_properties("Api")["AccessLogSetting"]["Format"]["Fn::Sub"].replace("${AWS::StackName}", _STACK)
    return len(re.sub(r"\$context\.([\w.]+)", lambda match: _REQUEST_VARIABLES[match[1]], line).encode())


def main() -> None:
    """Measure, which takes some seconds, and write the file."""
    os.environ.update(_ENVIRONMENT)
    with mock_aws():
        create_resources(new_session())
        figures = measure()
    FILE.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
