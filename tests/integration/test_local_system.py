"""The whole local system, in a process of its own. The tests use boto3 and HTTP, as its users do."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
import requests
from botocore.config import Config

from classifier.description import Description
from local.aws import BUCKET
from tests.support.drawings import encoded, garment, photo
from tests.support.local_system import System, is_healthy, running, start, status, wait_until, worker_pids
from tests.support.paths import ROOT, SHIPPED_MODEL, TESTS_MODEL
from tests.support.photo_server import PhotoServer
from tests.support.ports import free_port

T_SHIRT, PANTS = photo("t-shirt"), photo("pants")
LABELS = Description.read(TESTS_MODEL).labels


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A local system on free ports."""
    with running(free_port(), free_port(), tmp_path_factory.mktemp("local") / "output.txt") as system:
        yield system


def test_the_start_prints_how_to_upload_and_read(system: System) -> None:
    printed = system.output.read_text()

    assert f"aws --endpoint-url {system.aws_url} s3 cp local/t-shirt.jpg s3://photos/uploads/new.jpg" in printed
    assert f"curl {system.url}/classifications/new.jpg" in printed


def test_the_example_photo_is_classified(system: System) -> None:
    """The files in `events/` name this photo. Tests below replace it."""
    record = system.classification("listing-42/front.jpg", status("SUCCEEDED"))
    event = json.loads((ROOT / "events" / "s3.json").read_text())["Records"][0]["s3"]

    assert record["label"] == "t-shirt"
    assert event["bucket"]["name"] == "photos"
    assert event["object"]["key"] == "uploads/" + record["id"]
    assert event["object"]["eTag"] == record["image"]["etag"]
    assert event["object"]["size"] == record["image"]["bytes"]


def test_the_shipped_model_classifies_the_example_photo(tmp_path: Path) -> None:
    """It gives any of its labels: the owner of the shop may have shipped a model of other clothes."""
    shipped = Description.read(SHIPPED_MODEL)
    with running(free_port(), free_port(), tmp_path / "output.txt", "--model", str(SHIPPED_MODEL)) as system:
        record = system.classification("listing-42/front.jpg", status("SUCCEEDED", "FAILED"))

        assert record["label"] in shipped.labels
        assert record["model_version"] == system.get("/model").json()["version"] == shipped.version


def test_a_record_follows_its_photo_from_upload_to_overwriting_and_deletion(system: System) -> None:
    system.upload("listing-42/front.jpg", T_SHIRT)
    first = system.classification("listing-42/front.jpg", status("SUCCEEDED", "FAILED"))
    assert (first["label"], first["batch_id"], first["source"]) == ("t-shirt", "listing-42", "s3")

    system.upload("listing-42/front.jpg", PANTS)
    system.classification("listing-42/front.jpg", lambda content: content["label"] == "pants")

    system.s3.delete_object(Bucket="photos", Key="uploads/listing-42/front.jpg")
    gone = system.classification("listing-42/front.jpg", lambda content: "error" in content and "id" not in content)
    assert gone["error"]["code"] == "not_found"
    assert system.get("/classifications/listing-42/front.jpg").status_code == 404


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"this is no photo", "unsupported_image"),
        (b"", "unreadable_image"),
        (b"\xff\xd8\xff" + bytes(30 * 10**6), "image_too_large"),
        (T_SHIRT[:5000], "unreadable_image"),
    ],
    ids=["text", "empty", "30 MB", "truncated"],
)
def test_a_file_that_is_not_a_photo_has_a_record_with_the_reason(system: System, data: bytes, code: str) -> None:
    identifier = f"awkward/{code}-{len(data)}.jpg"
    system.upload(identifier, data)

    record = system.classification(identifier, status("SUCCEEDED", "FAILED"))

    assert (record["status"], record["error"]["code"]) == ("FAILED", code)
    assert "Traceback" not in json.dumps(record)


@pytest.mark.parametrize("name", ["with space.jpg", "a+b.jpg", "é.jpg", "100%.jpg", "a%20b.jpg", "日本/👕.jpg"])
def test_a_photo_under_a_key_with_special_characters_is_found(system: System, name: str) -> None:
    system.upload(name, T_SHIRT)

    record = system.classification(name, status("SUCCEEDED", "FAILED"))

    assert (record["id"], record["label"]) == (name, "t-shirt")


def test_a_client_of_the_tutorials_works_unchanged(system: System, photo_server: PhotoServer) -> None:
    url = photo_server.serve("/pants.jpg", PANTS)

    for endpoint in ("/predict", "/2015-03-31/functions/function/invocations"):
        result = requests.post(system.url + endpoint, json={"url": url}, timeout=30).json()
        assert list(result) == list(LABELS)
        assert max(result, key=result.get) == "pants"


def test_the_sdk_can_invoke_the_function(system: System, photo_server: PhotoServer) -> None:
    client = boto3.client("lambda", endpoint_url=system.url, region_name="us-east-1")

    good = client.invoke(FunctionName="f", Payload=json.dumps({"url": photo_server.serve("/p", PANTS)}))
    bad = client.invoke(FunctionName="f", Payload=b"{}")

    assert "FunctionError" not in good
    assert list(json.load(good["Payload"])) == list(LABELS)
    assert bad["FunctionError"] == "Unhandled"
    assert json.load(bad["Payload"])["errorType"] == "InvalidRequest"


def test_posted_image_bytes_are_classified_and_stored(system: System) -> None:
    answer = requests.post(
        f"{system.url}/classifications", data=T_SHIRT, headers={"Content-Type": "image/jpeg"}, timeout=30
    )

    assert answer.status_code == 201
    assert system.get(answer.headers["Location"]).json() == answer.json()


def test_photos_are_uploaded_by_presigned_forms(system: System) -> None:
    files = [{"name": "front.jpg", "content_type": "image/jpeg"}, {"name": "é 1.jpg", "content_type": "image/jpeg"}]
    batch = requests.post(f"{system.url}/uploads", json={"files": files}, timeout=30).json()
    assert system.get(batch["items"][0]["status_url"]).headers["Retry-After"]

    for item in batch["items"]:
        posted = requests.post(item["url"], data=item["fields"], files={"file": ("photo", T_SHIRT)}, timeout=30)
        assert posted.status_code == 204, posted.text

    for item in batch["items"]:
        record = wait_until(lambda: system.get(item["status_url"]).json(), status("SUCCEEDED"))  # noqa: B023
        assert (record["label"], record["batch_id"], record["id"]) == ("t-shirt", batch["batch_id"], item["id"])


def test_an_unchanged_answer_is_304(system: System) -> None:
    system.upload("unchanged.jpg", T_SHIRT)
    system.classification("unchanged.jpg", status("SUCCEEDED"))
    etag = system.get("/classifications/unchanged.jpg").headers["ETag"]

    answer = requests.get(f"{system.url}/classifications/unchanged.jpg", headers={"If-None-Match": etag}, timeout=30)

    assert (answer.status_code, answer.content) == (304, b"")


def test_the_error_for_a_request_that_is_too_large_names_uploads(system: System) -> None:
    answer = requests.post(f"{system.url}/predict", data=bytes(5 * 2**20), timeout=30)

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "image_too_large")
    assert "POST /uploads" in answer.json()["error"]["message"]


def test_forty_uploads_at_once_get_their_labels(system: System) -> None:
    for number in range(40):
        system.upload(f"many/{number}.jpg", PANTS if number % 2 else T_SHIRT)

    for number in range(40):
        record = system.classification(f"many/{number}.jpg", status("SUCCEEDED", "FAILED"))
        assert record["label"] == ("pants" if number % 2 else "t-shirt")


def test_the_output_has_one_line_for_each_photo(system: System) -> None:
    system.upload("logged.jpg", T_SHIRT)
    system.classification("logged.jpg", status("SUCCEEDED"))

    def lines() -> list[str]:
        return [line for line in system.output.read_text().splitlines() if line.startswith("logged.jpg")]

    (line,) = wait_until(lines, bool)
    assert re.fullmatch(r"logged\.jpg: t-shirt, \d+%", line)


def test_a_worker_that_is_killed_is_replaced(system: System) -> None:
    workers = worker_pids(system.process)
    assert workers

    for worker in workers:
        os.kill(worker, signal.SIGKILL)

    wait_until(lambda: system.get("/health").status_code, lambda code: code == 200)
    system.upload("after.jpg", T_SHIRT)
    assert system.classification("after.jpg", status("SUCCEEDED"))["label"] == "t-shirt"


def test_a_photo_that_kills_the_function_each_time_ends_as_failed(system: System) -> None:
    """Lack of memory would kill it too. Each worker is killed until the event is in the failure queue."""
    sqs = system.client("sqs")
    failures = sqs.get_queue_url(QueueName="failures")["QueueUrl"]

    def has_failed() -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        return any(
            int(n) for n in sqs.get_queue_attributes(QueueUrl=failures, AttributeNames=names)["Attributes"].values()
        )

    def kill_workers() -> bool:
        for worker in worker_pids(system.process):
            os.kill(worker, signal.SIGKILL)
        return has_failed()

    kill_workers()  # a worker that is ready could classify the photo before it is killed
    system.upload("deadly.jpg", T_SHIRT)
    wait_until(kill_workers, bool)

    record = system.classification("deadly.jpg", status("SUCCEEDED", "FAILED"))
    assert (record["status"], record["error"]["code"]) == ("FAILED", "internal_error")


def test_one_key_can_be_written_by_many_clients_at_once(system: System) -> None:
    """moto's S3 alone fails then."""
    s3 = system.client("s3", Config(retries={"total_max_attempts": 1}))
    photos = [encoded(garment("t-shirt", (300 + number, 300))) for number in range(8)]

    def write(number: int) -> int:
        answer = s3.put_object(Bucket=BUCKET, Key="uploads/busy.jpg", Body=photos[number % len(photos)])
        return int(answer["ResponseMetadata"]["HTTPStatusCode"])

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(write, range(80))) == {200}
    newest = s3.head_object(Bucket=BUCKET, Key="uploads/busy.jpg")["ETag"].strip('"')
    system.classification("busy.jpg", lambda record: record["image"] and record["image"]["etag"] == newest)


def test_a_port_in_use_is_an_error_with_a_hint(system: System, tmp_path: Path) -> None:
    taken = int(system.url.rpartition(":")[2])
    output = tmp_path / "output.txt"

    code = start(taken, free_port(), output).wait(30)

    assert code == 1
    assert output.read_text() == f"Port {taken} is in use. Choose another one: make run PORT={taken + 1}\n"


def test_an_incomplete_installation_is_an_error_with_a_hint() -> None:
    """Python runs without its installed packages."""
    command = [sys.executable, "-S", "-m", "local", "--port", str(free_port()), "--aws-port", str(free_port())]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "The installation is incomplete" in done.stderr
    assert "Run: make clean run" in done.stderr


@pytest.mark.parametrize("target", ["run", "test"])
def test_a_missing_python_is_an_error_with_a_hint(tmp_path: Path, target: str) -> None:
    command = ["make", target, "PYTHON=no-such-python", f"VENV={tmp_path / 'venv'}"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "There is no no-such-python on this machine. Install Python 3.11 or later" in done.stdout


def test_the_tests_of_the_container_fail_without_docker() -> None:
    environment = os.environ | {"DOCKER_HOST": "unix:///nowhere"}

    done = subprocess.run(
        ["make", "test-container"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode != 0
    assert "Docker does not respond" in done.stdout


def test_an_old_python_is_an_error_with_a_hint(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.1 || exit 1\n')
    old.chmod(0o755)

    done = subprocess.run(
        ["make", "run", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert "Python 3.9.1 is too old" in done.stdout


def test_the_example_client_uploads_the_photos_among_other_files(system: System, tmp_path: Path) -> None:
    photo, broken, raw = (tmp_path / name for name in ("front.jpg", "broken.jpg", "front.dng"))
    photo.write_bytes(T_SHIRT)
    broken.write_bytes(b"text")
    raw.write_bytes(b"II*\0")

    done = subprocess.run(
        [sys.executable, "docs/storefront.py", system.url, photo, broken, raw],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert f"{raw}: not uploaded. Send a JPEG" in done.stdout
    assert "/front.jpg: T-shirt (9" in done.stdout
    assert "/broken.jpg: This is not an image in a supported format." in done.stdout


def test_the_workers_end_when_the_system_is_killed(tmp_path: Path) -> None:
    output = tmp_path / "output.txt"
    port = free_port()
    process = start(port, free_port(), output)
    try:
        wait_until(lambda: is_healthy(process, f"http://127.0.0.1:{port}", output), bool, 60)
        workers = worker_pids(process)
    finally:
        process.kill()
        process.wait()

    wait_until(lambda: [worker for worker in workers if _is_running(worker)], lambda left: not left)


def _is_running(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")
