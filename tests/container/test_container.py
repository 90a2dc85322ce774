"""The image, built by `sam build`, as SAM, Docker and Lambda's emulator run it: `make test-container`."""

import base64
import json
import os
import shutil
import signal
import subprocess
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from classifier.description import Description
from tests.support.drawings import encoded, garment, photo
from tests.support.events import api_event
from tests.support.local_system import System, running, status, wait_until
from tests.support.paths import ROOT, SHIPPED_MODEL
from tests.support.photo_files import flat_webp
from tests.support.ports import free_port
from tests.support.shipped_model import LABELS, shipped_label

SAM = Path(os.environ.get("SAM", "sam"))
EMULATOR = "aws-lambda-rie-x86_64"  # Lambda's runtime interface emulator, a part of the SAM CLI
BASE = "public.ecr.aws/docker/library/python"
IMAGE = "classifierfunction:latest"  # SAM's name for it
MAX_ADDED_BYTES = 200_000_000  # to the base image
INVOCATIONS = "/2015-03-31/functions/function/invocations"
# The function fetches from public addresses alone, so this network on this machine has some; nothing is routed there.
PUBLIC_SUBNET = "11.11.11.0/24"
PHOTO_URL = "http://photos.example/pants.jpg"
PANTS_LABEL = shipped_label(photo("pants"))
# SAM asks the world for credentials and for news, and gives the container what it finds.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
    "AWS_EC2_METADATA_DISABLED": "true",
    "SAM_CLI_TELEMETRY": "0",
    "SAM_CLI_CHECK_VERSION": "0",
}
# As Lambda runs it: nothing can be written but /tmp, nothing is allowed.
CONFINED = ["--read-only", "--tmpfs", "/tmp", "--user", "65534:65534", "--cap-drop", "ALL"]  # noqa: S108 - Lambda's


def run(*command: object) -> str:
    """Run the command. Return its standard output; fail with all of its output if it fails."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, env=ENVIRONMENT, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()[-4000:]
    return done.stdout.decode().strip()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The local system, on the ports that samconfig.toml names, with the model of the image."""
    output = tmp_path_factory.mktemp("local") / "output.txt"
    with running(8000, 5000, output, "--model", str(SHIPPED_MODEL)) as system:
        yield system


@pytest.fixture(scope="module", params=["3.11", "3.13"])
def python(request: pytest.FixtureRequest) -> str:
    """The version of Python in the image that SAM has just built. The default version needs no flags."""
    version: str = request.param
    run(SAM, "build", *(["--parameter-overrides", f"PythonVersion={version}"] if version != "3.11" else []))
    return version


@pytest.fixture(scope="module")
def network(python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A network of containers with a server at PHOTO_URL."""
    name = f"clothes-test-{uuid.uuid4().hex[:8]}"
    photos = tmp_path_factory.mktemp("photos")
    (photos / "pants.jpg").write_bytes(photo("pants"))
    photos.chmod(0o755)
    run("docker", "network", "create", "--subnet", PUBLIC_SUBNET, name)
    try:
        serve = ["--network", name, "--network-alias", "photos.example", "-v", f"{photos}:/photos:ro"]
        command = ["--entrypoint", "python", IMAGE, "-m", "http.server", "--directory", "/photos", "80"]
        server = run("docker", "run", "--rm", "-d", *serve, *command)
        yield name
        run("docker", "kill", server)
    finally:
        run("docker", "network", "rm", "--force", name)


@dataclass(frozen=True)
class Container:
    """A container of the image, under Lambda's emulator."""

    name: str
    url: str

    def invoke(self, event: Any) -> Any:
        return requests.post(self.url + INVOCATIONS, json=event, timeout=60).json()

    def request(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Send an event of API Gateway. Return the status and the JSON of the answer."""
        answer = self.invoke(api_event(method, path, **options))
        assert "statusCode" in answer, answer
        return answer["statusCode"], json.loads(answer["body"])

    @property
    def is_running(self) -> bool:
        return run("docker", "inspect", "--format", "{{.State.Running}}", self.name) == "true"


@contextmanager
def emulated(*options: object) -> Iterator[Container]:
    """Run a confined container of the image. Yield it once it answers."""
    tools = run(SAM.parent / "python", "-c", "import samcli.local as s; print(s.__path__[0])")
    port = free_port()
    variables = json.loads((ROOT / "local" / "sam-environment.json").read_text())["ClassifierFunction"]
    variables |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": "us-east-1"}
    command = [
        *("docker", "run", "-d", "-p", f"127.0.0.1:{port}:8080", "-v", f"{tools}/rapid/{EMULATOR}:/{EMULATOR}:ro"),
        *("--add-host", "host.docker.internal:host-gateway", *CONFINED, *options),
        *(part for name, value in variables.items() for part in ("-e", f"{name}={value}")),
        *("--entrypoint", f"/{EMULATOR}", IMAGE, "python", "-m", "awslambdaric", "classifier.app.lambda_handler"),
    ]
    name = run(*command)
    container = Container(name, f"http://127.0.0.1:{port}")
    try:
        wait_until(lambda: _answers(container), bool)
        yield container
    finally:
        run("docker", "rm", "--force", "--volumes", name)


def _answers(container: Container) -> bool:
    try:
        return container.request("GET", "/health")[0] == 200
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def container(system: System, network: str) -> Iterator[Container]:
    """A container with the least memory that the template allows."""
    with emulated("--network", network, "-m", "896m", "--memory-swap", "896m") as container:
        yield container


def invoke_by_sam(event: str, *options: object) -> Any:
    """Return what `sam local invoke` prints for one of the files of `events/`."""
    return json.loads(run(SAM, "local", "invoke", "-e", f"events/{event}.json", *options).splitlines()[-1])


def test_the_image_contains_only_what_the_function_uses(python: str) -> None:
    base, image = (
        int(run("docker", "image", "inspect", "--format", "{{.Size}}", name))
        for name in (f"{BASE}:{python}-slim-bookworm", IMAGE)
    )
    own = run(
        "docker", "run", "--rm", "--entrypoint", "find", IMAGE, "/var/task", "-type", "f", "-not", "-name", "*.pyc"
    )
    packages = run("docker", "run", "--rm", "--entrypoint", "pip", IMAGE, "list", "--format", "json")

    assert image - base <= MAX_ADDED_BYTES
    assert run("docker", "run", "--rm", "--entrypoint", "python", IMAGE, "--version").startswith(f"Python {python}.")
    package = ROOT / "functions" / "classifier"
    files = [
        *package.glob("*.py"),
        package / "openapi.json",
        *package.glob("pages/*.*"),
    ]
    code = {f"/var/task/classifier/{path.relative_to(package)}" for path in files}
    known = [f"known/{path.name}" for path in (SHIPPED_MODEL / "known").glob("*.jpg")]
    networks = [path.name for path in SHIPPED_MODEL.glob("*.tflite")]
    model = {f"/var/task/model/{name}" for name in (*networks, "model.json", *known)}
    assert set(own.splitlines()) == code | model | {"/var/task/requirements.txt"}
    named = {package["name"] for package in json.loads(packages)}
    assert not named & {"tensorflow", "keras", "moto", "pytest", "scikit-learn"}
    assert ("tflite-runtime" in named) == (python == "3.11")


def test_an_image_of_a_private_checkout_starts(python: str, tmp_path: Path) -> None:
    """Docker copies the modes of files, and Lambda's user is not their owner."""
    for name in ("functions", "model"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in (tmp_path / name, *(tmp_path / name).rglob("*")):
            path.chmod(path.stat().st_mode & 0o700)
    shutil.copy2(ROOT / "requirements.txt", tmp_path)
    build = ("docker", "build", "--quiet", "--build-arg", f"PYTHON={python}", "--file")
    image = run(*build, tmp_path / "functions" / "classifier" / "Dockerfile", tmp_path)
    program = "from pathlib import Path; from classifier.model import Model; Model.load(Path('model')).check()"

    try:
        run("docker", "run", "--rm", *CONFINED, "--entrypoint", "python", image, "-c", program)
    finally:
        run("docker", "image", "rm", image)


def test_sam_classifies_the_photo_of_the_local_system(python: str, system: System) -> None:
    """It needs no flags. The record of the local system's function is deleted first."""
    system.classification("listing-42/front.jpg", status("SUCCEEDED"))
    table = {"TableName": "classifications", "Key": {"id": {"S": "listing-42/front.jpg"}}}
    system.client("dynamodb").delete_item(**table)

    (classification,) = invoke_by_sam("s3")["classifications"]

    label = shipped_label((ROOT / "local" / "t-shirt.jpg").read_bytes())
    assert (classification["status"], classification["label"]) == ("SUCCEEDED", label)
    item = system.client("dynamodb").get_item(**table)["Item"]
    assert item["label_state"] == {"S": f"{label}#SUCCEEDED"}
    assert item["model_version"] == {"S": Description.read(SHIPPED_MODEL).version}
    assert system.get("/classifications/listing-42/front.jpg").json() == classification


def test_sam_prints_what_to_start_without_the_local_system(python: str, tmp_path: Path) -> None:
    variables = json.loads((ROOT / "local" / "sam-environment.json").read_text())
    variables["ClassifierFunction"]["AWS_ENDPOINT_URL"] = f"http://host.docker.internal:{free_port()}"
    (tmp_path / "environment.json").write_text(json.dumps(variables))

    answer = invoke_by_sam("s3", "--env-vars", tmp_path / "environment.json")

    assert answer["errorType"] == "NoEndpoint"
    assert "is `make run` running?" in answer["errorMessage"]


def test_sam_answers_an_event_of_the_api(python: str, system: System) -> None:
    answer = invoke_by_sam("api_predict_bytes")
    photo = base64.b64decode(json.loads((ROOT / "events" / "api_predict_bytes.json").read_text())["body"])

    assert answer["statusCode"] == 200
    assert tuple(json.loads(answer["body"])) == LABELS
    (location,) = answer["multiValueHeaders"]["Location"]
    record = system.get(location.removeprefix("/prod")).json()
    assert (record["label"], record["source"]) == (shipped_label(photo), "bytes")


def test_the_api_of_sam_answers_every_route(python: str, system: System, network: str) -> None:
    """`sam local start-api`, by HTTP."""
    port = free_port()
    command = [str(SAM), "local", "start-api", "--port", str(port), "--docker-network", network]
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        assert process.poll() is None
        try:
            return requests.get(f"{url}/health", timeout=30).ok
        except requests.ConnectionError:
            return False

    try:
        wait_until(is_up, bool, 60)
        _check_routes(url)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _check_routes(url: str) -> None:
    scores = requests.post(f"{url}/predict", json={"url": PHOTO_URL}, timeout=30)
    assert (scores.status_code, max(scores.json(), key=scores.json().__getitem__)) == (200, PANTS_LABEL)
    record = requests.get(url + scores.headers["Location"], timeout=30)
    assert (record.json()["label"], record.json()["source"]) == (PANTS_LABEL, "url")
    unchanged = requests.get(record.url, headers={"If-None-Match": record.headers["ETag"]}, timeout=30)
    assert unchanged.status_code == 304

    created = requests.post(
        f"{url}/classifications", data=photo("t-shirt"), headers={"Content-Type": "image/jpeg"}, timeout=30
    )
    assert (created.status_code, created.json()["label"]) == (201, shipped_label(photo("t-shirt")))
    files = [{"name": "front.jpg", "content_type": "image/jpeg"}]
    uploads = requests.post(f"{url}/uploads", json={"files": files}, timeout=30)
    assert (uploads.status_code, len(uploads.json()["items"])) == (201, 1)
    waiting = requests.get(url + uploads.json()["items"][0]["status_url"], timeout=30)
    assert (waiting.json()["status"], waiting.headers["Retry-After"]) == ("PENDING", "1")

    assert tuple(requests.get(f"{url}/model", timeout=30).json()["labels"]) == LABELS
    assert requests.get(f"{url}/classifications/nobody.jpg", timeout=30).status_code == 404
    text = requests.post(f"{url}/predict", data=b"just text", headers={"Content-Type": "image/jpeg"}, timeout=30)
    assert (text.status_code, text.json()["error"]["code"]) == (415, "unsupported_image")


def test_a_direct_invocation_is_answered_with_the_scores(container: Container) -> None:
    """The container has another user, no capabilities, and a read-only file system."""
    scores = container.invoke({"url": PHOTO_URL})

    assert tuple(scores) == LABELS
    assert max(scores, key=scores.__getitem__) == PANTS_LABEL


def test_the_container_can_write_only_temporary_files(container: Container) -> None:
    attempts = "touch /var/task/x; touch /usr/local/x; touch /tmp/x && id -u"

    done = subprocess.run(
        ["docker", "exec", container.name, "sh", "-c", attempts], capture_output=True, text=True, check=False
    )

    assert done.stderr.count("Read-only file system") == 2
    assert done.stdout.strip() == "65534"


def black_png(side: int, rows: int) -> bytes:
    """Return a PNG that states a size of `side` × `side` pixels, and has so many rows of them."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)

    header = side.to_bytes(4) * 2 + bytes([8, 2, 0, 0, 0])
    compressor = zlib.compressobj(9)
    content = b"".join(compressor.compress(bytes(side * 3 + 1)) for _ in range(rows)) + compressor.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(black_png(60_000, rows=100), (413, "image_too_large"), id="a bomb"),
        pytest.param(black_png(7_000, rows=7_000), (200, None), id="49 megapixels in a PNG of 144 kilobytes"),
        pytest.param(encoded(garment("pants", (8000, 6000)), quality=60), (200, None), id="48 megapixels in a JPEG"),
        pytest.param(flat_webp((5000, 5000)), (200, None), id="25 megapixels in a WebP of 30 bytes"),
        pytest.param(flat_webp((7000, 7000)), (413, "image_too_large"), id="49 megapixels in a WebP of 30 bytes"),
        pytest.param(photo("pants")[:2000], (422, "unreadable_image"), id="cut short"),
    ],
)
def test_no_photo_kills_a_container_with_the_least_memory(
    container: Container, data: bytes, expected: tuple[int, str | None]
) -> None:
    status, content = container.request("POST", "/predict", body=data, headers={"Content-Type": "image/png"})

    assert (status, content["error"]["code"] if "error" in content else None) == expected
    assert container.is_running
    assert container.request("GET", "/health")[0] == 200


def test_a_function_that_is_killed_starts_again(container: Container) -> None:
    """Lack of memory would kill its process too. The next event starts a new one."""
    assert run("docker", "exec", container.name, "sh", "-c", _KILL_PYTHON) == "killed"

    wait_until(lambda: container.invoke({"url": PHOTO_URL}), lambda answer: PANTS_LABEL in answer)

    assert container.is_running


# The image has no pkill.
_KILL_PYTHON = r"""for process in /proc/[0-9]*; do
  case "$(tr '\0' ' ' <"$process/cmdline")" in
    "python -m awslambdaric"*) kill -9 "${process#/proc/}" && echo killed ;;
  esac
done"""
