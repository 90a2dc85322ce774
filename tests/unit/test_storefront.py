"""`docs/storefront.py` gets on with every answer of the API, the bucket and what is between them."""

import importlib.util
import json
import re
import socket
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from classifier.request_parsing import parse_object
from classifier.upload_forms import EXPECTED_FILES, parse_files
from tests.support.paths import ROOT

CATEGORIES = {"t-shirt": {"name": "T-shirt"}, "outwear": {"name": "Jacket or coat"}}
ERROR = {"error": {"code": "busy", "message": "Try again."}, "request_id": "1"}
HTML = b"<html>502 Bad Gateway</html>"


@dataclass(frozen=True)
class Answer:
    """What the server answers. Bytes are sent as they are, other content as JSON."""

    status: int = 200
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, request: BaseHTTPRequestHandler) -> None:
        body = self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()
        request.send_response(self.status)
        for name, value in {**self.headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        if self.status != 304:
            request.wfile.write(body)


class Reset(Answer):
    """No answer: the connection breaks."""

    def send(self, request: BaseHTTPRequestHandler) -> None:
        request.connection.shutdown(socket.SHUT_RDWR)


class Cut(Answer):
    """Half of an answer."""

    def send(self, request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


class Slow(Answer):
    """An answer after the client's timeout."""

    def send(self, request: BaseHTTPRequestHandler) -> None:
        time.sleep(1.5)
        super().send(request)


class Server:
    """The API and its bucket. The answers of a script come first, then those of a service that works."""

    def __init__(self) -> None:
        self.scripts: dict[str, list[Answer]] = defaultdict(list)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.photos: dict[str, dict[str, Any]] = {}
        self.listing: dict[str, Any] = {"label": "t-shirt", "confidence": 0.999, "needs_review": False}
        self.result: dict[str, Any] = {"status": "SUCCEEDED", "label": "t-shirt", "confidence": 0.97}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self, f"{self.command} /{self.path.split('/')[1]}")

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler, name: str) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        self.requests.append((name, dict(request.headers), body))
        script = self.scripts[name]
        normal = {"POST /uploads": self._forms, "POST /bucket": self._store, "GET /batches": self._batch}[name]
        (script.pop(0) if script else normal(body)).send(request)

    def count(self, name: str) -> int:
        return sum(one == name for one, _, _ in self.requests)

    def bodies(self, name: str) -> list[bytes]:
        return [body for one, _, body in self.requests if one == name]

    def _forms(self, body: bytes) -> Answer:
        content = parse_object(body, EXPECTED_FILES, ("files", "batch_id"))
        ids = [f"batch/{len(self.photos)}-{number}-{one.name}" for number, one in enumerate(parse_files(content))]
        self.photos |= {one: {"id": one, "status": "PENDING"} for one in ids}
        forms = [{"id": one, "url": f"{self.url}/bucket", "fields": {"key": f"uploads/{one}"}} for one in ids]
        return Answer(201, {"batch_id": "batch", "token": "token", "items": forms})

    def _store(self, body: bytes) -> Answer:
        (key,) = re.findall(rb'name="key"\r\n\r\nuploads/(.*)\r\n', body)
        category = CATEGORIES.get(self.result["label"] or "")
        result = {"needs_review": False, "error": None, "category": category, **self.result}
        self.photos[key.decode()] |= result
        return Answer(204, b"")

    def _batch(self, _: bytes) -> Answer:
        content = {**self.listing, "category": CATEGORIES.get(self.listing["label"] or "")}
        return Answer(200, {**content, "items": list(self.photos.values())}, {"ETag": '"1"'})

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


Sell = Callable[..., str]


@pytest.fixture
def sell(server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sell:
    """A function that runs the client on these files with short pauses. It returns what the client prints."""
    spec = importlib.util.spec_from_file_location("storefront", ROOT / "docs" / "storefront.py")
    assert spec
    assert spec.loader
    storefront = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(storefront)

    def run(*photos: Path, code: object = 0, seconds: float = 10) -> str:
        monkeypatch.setattr(storefront, "Classifier", partial(classifier, seconds=seconds, pause=0.01))
        monkeypatch.setattr(sys, "argv", ["storefront.py", server.url, *map(str, photos)])
        with pytest.raises(SystemExit) as end:
            storefront.main()
        output = capsys.readouterr().out
        if isinstance(end.value.code, str):  # Python prints it, and exits with 1
            assert code == 1, end.value.code
            return output + end.value.code
        assert int(end.value.code or 0) == code, output
        return output

    classifier = storefront.Classifier
    return run


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return make_photo(tmp_path, "front.jpg")


def make_photo(folder: Path, name: str, content: bytes = b"photo") -> Path:
    file = folder / name
    file.write_bytes(content)
    return file


def test_it_prints_categories_for_people(server: Server, sell: Sell, photo: Path) -> None:
    """They never read labels such as `outwear`. 99.9 % is not certain."""
    server.listing["label"] = server.result["label"] = "outwear"

    assert sell(photo) == f"{photo}: Jacket or coat (97%)\nThe listing: Jacket or coat (99%)\n"


def test_it_says_that_it_is_not_sure(server: Server, sell: Sell, photo: Path) -> None:
    server.listing["needs_review"] = server.result["needs_review"] = True

    assert sell(photo).splitlines() == [
        f"{photo}: We are not sure. Perhaps: T-shirt (97%)",
        "The listing: We are not sure. Perhaps: T-shirt (99%)",
    ]


def test_a_photo_that_failed_has_its_reason_and_its_listing_no_category(
    server: Server, sell: Sell, photo: Path
) -> None:
    error = {"code": "unreadable_image", "message": "The image is damaged."}
    server.result = {"status": "FAILED", "label": None, "confidence": None, "needs_review": True, "error": error}
    server.listing |= {"label": None, "confidence": None, "needs_review": True}

    assert sell(photo, code=1).splitlines() == [
        f"{photo}: The image is damaged.",
        "The listing: We cannot say what this is.",
    ]


TRANSIENT = [
    Answer(429, ERROR, {"Retry-After": "0"}),
    Answer(429, ERROR),
    Answer(500, ERROR),
    Answer(502, HTML),
    Answer(503, ERROR, {"Retry-After": "1"}),
    Answer(503, ERROR, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
    Answer(504, b""),
    Reset(),
    Cut(),
]


@pytest.mark.parametrize("answer", TRANSIENT, ids=lambda answer: f"{type(answer).__name__} {answer.status}")
@pytest.mark.parametrize("name", ["POST /uploads", "POST /bucket", "GET /batches"])
def test_a_transient_error_is_tried_again(server: Server, sell: Sell, photo: Path, name: str, answer: Answer) -> None:
    server.scripts[name] = [answer, answer]

    began = time.monotonic()
    output = sell(photo)

    assert "T-shirt (97%)" in output
    assert server.count(name) == 3
    assert time.monotonic() - began >= 2 * (answer.headers.get("Retry-After") == "1")


@pytest.mark.parametrize("name", ["POST /uploads", "GET /batches"])
def test_an_answer_that_does_not_come_is_asked_for_until_the_time_is_up(
    server: Server, sell: Sell, photo: Path, name: str
) -> None:
    server.scripts[name] = [Slow()] * 9

    began = time.monotonic()
    output = sell(photo, code=1, seconds=1.2)

    assert "No answer from http://" in output
    assert time.monotonic() - began < 4


def test_an_error_that_stays_ends_the_client_with_the_message_of_the_api(
    server: Server, sell: Sell, photo: Path
) -> None:
    server.scripts["POST /uploads"] = [Answer(503, ERROR)] * 9

    assert sell(photo, code=1) == "Try again."
    assert server.count("POST /uploads") == 6


def test_it_does_not_wait_longer_than_it_has_time(server: Server, sell: Sell, photo: Path) -> None:
    """A key that has reached its daily limit."""
    server.scripts["POST /uploads"] = [Answer(429, ERROR, {"Retry-After": "3600"})]

    assert sell(photo, code=1) == "Try again."


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answer(200, b"<html>\n<title>Log in to the network</title>"), "status is 200: <html> <title>Log in"),
        (Answer(403, HTML), "status is 403: <html>"),
        (Answer(413, b"HTTP content length exceeded 10485760 bytes."), "status is 413: HTTP content length"),
        (Answer(404, b""), "status is 404: "),
        (Answer(302, b"", {"Location": "https://classifier.example"}), "status is 302: "),
        (Answer(200, []), "status is 200: []"),
        (Answer(200, {"uploads": []}), 'status is 200: {"uploads": []}'),
        (Answer(400, {"error": "text"}), 'status is 400: {"error"'),
        (Answer(200, b"\xff\xfe"), "status is 200: "),
        (Answer(403, ERROR), "Try again."),
    ],
)
def test_an_answer_of_another_service_is_shown(
    server: Server, sell: Sell, photo: Path, answer: Answer, text: str
) -> None:
    server.scripts["POST /uploads"] = [answer]

    assert text in sell(photo, code=1)


def test_an_expired_form_is_replaced_by_another_one_of_the_listing(server: Server, sell: Sell, photo: Path) -> None:
    """The photo of the first form never arrives. The client does not wait for it."""
    server.scripts["POST /bucket"] = [Answer(403, b"<Error><Code>AccessDenied</Code></Error>")]

    assert "T-shirt (97%)" in sell(photo)
    assert [json.loads(body).get("batch_id") for body in server.bodies("POST /uploads")] == [None, "batch"]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answer(400, b"<Error><Code>EntityTooLarge</Code></Error>"), "EntityTooLarge"),
        (Answer(403, b"<Error><Code>AccessDenied</Code></Error>"), "AccessDenied"),
        (Answer(413, b"Too large"), "413"),
        (Answer(307, b""), "307"),
    ],
)
def test_a_photo_that_the_bucket_refuses_does_not_stop_the_others(
    server: Server, sell: Sell, tmp_path: Path, answer: Answer, text: str
) -> None:
    photos = [make_photo(tmp_path, f"{name}.jpg") for name in ("front", "back")]
    server.scripts["POST /bucket"] = [answer] * (2 if answer.status == 403 else 1)

    assert sell(*photos, code=1).splitlines() == [
        f"{photos[0]}: not uploaded. The bucket refused it: {text}.",
        f"{photos[1]}: T-shirt (97%)",
        "The listing: T-shirt (99%)",
    ]


def test_a_new_listing_may_not_be_found_yet(server: Server, sell: Sell, photo: Path) -> None:
    server.scripts["GET /batches"] = [Answer(404, ERROR)] * 3

    assert "T-shirt (97%)" in sell(photo)


def test_a_listing_that_is_never_found_ends_the_client(server: Server, sell: Sell, photo: Path) -> None:
    server.scripts["GET /batches"] = [Answer(404, ERROR)] * 200

    assert sell(photo, code=1, seconds=0.5) == "Try again."


def test_a_listing_that_has_not_changed_is_not_sent_again(server: Server, sell: Sell, photo: Path) -> None:
    pending = {"id": "batch/0-0-front.jpg", "status": "PENDING"}
    first = Answer(200, {"items": [pending], "category": None}, {"ETag": '"0"', "Retry-After": "0"})
    server.scripts["GET /batches"] = [first, Answer(304, headers={"ETag": '"0"'})]

    assert "T-shirt (97%)" in sell(photo)
    conditions = [headers.get("If-None-Match") for name, headers, _ in server.requests if name == "GET /batches"]
    assert conditions == [None, '"0"', '"0"']


def test_a_photo_that_never_arrives_is_named_when_the_time_is_up(server: Server, sell: Sell, tmp_path: Path) -> None:
    photos = [make_photo(tmp_path, f"{name}.jpg") for name in ("front", "back")]
    server.scripts["POST /bucket"] = [Answer(204, b"")]  # and its event is lost

    assert sell(*photos, code=1, seconds=0.5).splitlines() == [
        f"{photos[0]}: Not classified in time.",
        f"{photos[1]}: T-shirt (97%)",
        "The listing: T-shirt (99%)",
    ]


def test_what_is_no_photo_is_not_uploaded(server: Server, sell: Sell, tmp_path: Path) -> None:
    raw, empty, missing = make_photo(tmp_path, "a.dng"), make_photo(tmp_path, "b.jpg", b""), tmp_path / "c.jpg"
    folder, photo = tmp_path / "d.jpg", make_photo(tmp_path, "E.JPG")
    folder.mkdir()

    lines = sell(raw, empty, missing, folder, photo, code=1).splitlines()

    assert lines[0] == f"{raw}: not uploaded. Send a JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF."
    assert lines[1] == f"{empty}: not uploaded. The file is empty."
    assert lines[2] == f"{missing}: not uploaded. No such file or directory."
    assert lines[3] == f"{folder}: not uploaded. Is a directory."
    assert lines[4] == f"{photo}: T-shirt (97%)"
    assert server.count("POST /bucket") == 1


def test_without_a_photo_nothing_is_sent(server: Server, sell: Sell, tmp_path: Path) -> None:
    assert "We cannot say what this is." in sell(tmp_path / "none.jpg", code=1)
    assert server.requests == []


def test_more_photos_than_a_request_may_have_become_one_listing(server: Server, sell: Sell, tmp_path: Path) -> None:
    photos = [make_photo(tmp_path, f"{number}.jpg") for number in range(101)]

    output = sell(*photos)

    assert output.count("T-shirt (97%)") == 101
    contents = [json.loads(body) for body in server.bodies("POST /uploads")]
    assert [(len(one["files"]), one.get("batch_id")) for one in contents] == [(50, None), (50, "batch"), (1, "batch")]


def test_a_listing_that_is_not_found_when_photos_are_added_is_asked_again(
    server: Server, sell: Sell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [make_photo(tmp_path, f"{number}.jpg") for number in range(51)]
    answer = server.answer

    def answer_the_second_with_404(request: BaseHTTPRequestHandler, name: str) -> None:
        if name == "POST /uploads" and server.count(name) == 1:
            server.scripts[name] = [Answer(404, ERROR)]
        answer(request, name)

    monkeypatch.setattr(server, "answer", answer_the_second_with_404)

    assert sell(*photos).count("T-shirt (97%)") == 51
    assert server.count("POST /uploads") == 3


@pytest.mark.parametrize(
    "name",
    [
        "new\nline.jpg",
        "back\\slash.jpg",
        "${filename}.jpg",
        "right\u202eto left.jpg",
        'quote".jpg',
        "Größe 👕.jpg",
        f"{'é' * 120}.jpg",
        "\udcff.jpg",
        " .jpg",
    ],
)
def test_a_file_may_have_any_name(server: Server, sell: Sell, tmp_path: Path, name: str) -> None:
    photo = make_photo(tmp_path, name)

    (line, _) = sell(photo).splitlines()

    assert line.endswith(": T-shirt (97%)")
    assert line.isprintable()


def test_the_bucket_does_not_get_the_api_key(
    server: Server, sell: Sell, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLASSIFIER_API_KEY", "secret")

    sell(photo)

    keys = {name: headers.get("x-api-key") for name, headers, _ in server.requests}
    assert keys == {"POST /uploads": "secret", "POST /bucket": None, "GET /batches": "secret"}


def test_the_photo_is_the_last_part_of_the_form(server: Server, sell: Sell, photo: Path) -> None:
    sell(photo)

    (body,) = server.bodies("POST /bucket")
    assert re.findall(rb'data; name="(\w+)"', body) == [b"key", b"file"]
    assert b"\r\n\r\nphoto\r\n--" in body
