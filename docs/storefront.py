"""Uploads the photos of one listing, and prints what they show. On AWS, set CLASSIFIER_API_KEY to the API key."""

import argparse
import json
import os
import random
import re
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

FORMATS = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "heic", "heif", "avif")
TYPES = {f".{name}": f"image/{name}" for name in FORMATS} | {".jpg": "image/jpeg", ".tif": "image/tiff"}
FORBIDDEN_IN_NAMES = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069/\\]|\$\{")
TRANSIENT = {429, 500, 502, 503, 504}
ATTEMPTS, MAX_FILES, MAX_NAME_BYTES = 6, 50, 200


class ApiError(Exception):
    """The API or the bucket gave no answer, or an error. The message says which."""


class Response(NamedTuple):
    """An answer to a request, also an error. `retry_after` is in seconds."""

    status: int
    body: bytes
    etag: str | None
    retry_after: int

    def read(self, *fields: str) -> dict[str, Any]:
        """Return the JSON object with these fields. Raise `ApiError`, if possible with the API's message."""
        try:
            content = json.loads(self.body)
        except ValueError:
            content = None
        if isinstance(content, dict) and self.status < HTTPStatus.MULTIPLE_CHOICES and content.keys() >= {*fields}:
            return content
        if isinstance(content, dict) and isinstance(content.get("error"), dict):
            raise ApiError(content["error"].get("message"))
        text = " ".join(self.body[:200].decode(errors="replace").split())  # for example the page of a proxy
        raise ApiError(f"Not an answer of the classifier's API. Its status is {self.status}: {text}")


class Classifier:
    """A client of the API, which gives up after so many seconds. It waits `pause` seconds before the second attempt."""

    def __init__(self, url: str, key: str | None = None, seconds: float = 120, pause: float = 0.5) -> None:
        self._url, self._pause, self._deadline = url.rstrip("/"), pause, time.monotonic() + seconds
        self._headers = {"Content-Type": "application/json", **({"x-api-key": key} if key else {})}

    def upload(self, photos: Sequence[Path]) -> tuple[str, dict[str, Path], dict[Path, str]]:
        """Upload the photos of one listing. Return its id, the photos by their ids, and the problems of the others."""
        batch_id, sent, problems = "", dict[str, Path](), dict[Path, str]()
        for start in range(0, len(photos), MAX_FILES):
            chunk = photos[start : start + MAX_FILES]
            uploads = self._create_forms(chunk, batch_id)
            batch_id = uploads["batch_id"]
            for photo, form in zip(chunk, uploads["items"], strict=True):
                try:
                    sent[self._upload_photo(photo, form, batch_id)] = photo
                except (ApiError, OSError) as error:
                    problems[photo] = str(error) or type(error).__name__
        return batch_id, sent, problems

    def wait_for_verdict(self, batch_id: str, ids: set[str]) -> dict[str, Any]:
        """Return the listing when none of these photos is pending, or when the time is up. Raise `ApiError`."""
        batch, known = dict[str, Any](), dict[str, str]()
        while True:
            response = self._send("GET", f"{self._url}/batches/{quote(batch_id)}", None, {**self._headers, **known})
            if response.status not in {304, 404}:  # unchanged; or new, and not visible for about a second
                batch = response.read("items", "category")
                known = {"If-None-Match": response.etag} if response.etag else {}
            if batch and ids <= {photo["id"] for photo in batch["items"] if photo["status"] != "PENDING"}:
                return batch
            if not self._sleep(max(self._pause, response.retry_after)):
                return batch or response.read("items")

    def _create_forms(self, photos: Sequence[Path], batch_id: str) -> dict[str, Any]:
        files = [{"name": safe_name(photo), "content_type": TYPES[photo.suffix.lower()]} for photo in photos]
        body = json.dumps({"files": files, **({"batch_id": batch_id} if batch_id else {})}).encode()
        too_early = [404] if batch_id else []  # a new listing is not visible for about a second
        headers = {**self._headers, "Idempotency-Key": os.urandom(16).hex()}  # a second try announces nothing twice
        return self._send("POST", f"{self._url}/uploads", body, headers, *too_early).read("batch_id", "items")

    def _upload_photo(self, photo: Path, form: dict[str, Any], batch_id: str) -> str:
        """Post the photo with the form, or with another one if it has expired. Return the photo's id."""
        content = photo.read_bytes()
        response = self._post_form(form, content)
        if response.status == HTTPStatus.FORBIDDEN:
            (form,) = self._create_forms([photo], batch_id)["items"]
            response = self._post_form(form, content)
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:
            code = re.search(rb"<Code>(\w+)</Code>", response.body)
            raise ApiError(f"not uploaded. The bucket refused it: {code[1].decode() if code else response.status}.")
        return str(form["id"])

    def _post_form(self, form: dict[str, Any], photo: bytes) -> Response:
        """Post all fields, then the photo as `file` (RFC 7578). The bucket gets no API key."""
        boundary = os.urandom(16).hex()
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="'
        texts = "".join(f'{head}{name}"\r\n\r\n{value}\r\n' for name, value in form["fields"].items())
        body = f'{texts}{head}file"; filename="photo"\r\n\r\n'.encode() + photo + f"\r\n--{boundary}--\r\n".encode()
        return self._send("POST", form["url"], body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})

    def _send(self, method: str, url: str, body: bytes | None, headers: dict[str, str], *transient: int) -> Response:
        """Send a request, again after a transient error. Raise `ApiError` if there is no answer at all."""
        response, problem = None, ""
        for attempt in range(ATTEMPTS):
            try:
                response = send_once(method, url, body, headers, max(1, min(30, self._deadline - time.monotonic())))
            except (OSError, HTTPException) as error:
                response, problem = None, str(error)
            if response and response.status not in {*TRANSIENT, *transient}:
                return response
            pause = self._pause * 2**attempt * random.uniform(1, 1.5)  # noqa: S311 - not a secret
            if not self._sleep(max(pause, response.retry_after if response else 0)):
                break
        if response:
            return response
        raise ApiError(f"No answer from {url}: {problem}")

    def _sleep(self, seconds: float) -> bool:
        """Wait, if there is time for that. Return whether there was."""
        has_time = seconds < self._deadline - time.monotonic()
        time.sleep(seconds if has_time else 0)
        return has_time


def send_once(method: str, url: str, body: bytes | None, headers: dict[str, str], timeout: float) -> Response:
    """Return the answer. Raise `OSError` or `HTTPException` if there is none."""
    parts = urlsplit(url)
    connection_class = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    with closing(connection_class(parts.netloc, timeout=timeout)) as connection:
        connection.request(method, parts.path or "/", body, headers)
        answer = connection.getresponse()
        after = answer.headers.get("Retry-After", "")  # it can also be a date
        seconds = int(after[:9]) if after.isdecimal() else 0
        return Response(answer.status, answer.read(), answer.headers.get("ETag"), seconds)


def safe_name(photo: Path) -> str:
    """Return the file's name without what the API refuses."""
    name = Path(FORBIDDEN_IN_NAMES.sub("_", photo.name.encode(errors="replace").decode()))
    stem = name.stem.encode()[: MAX_NAME_BYTES - len(name.suffix.encode())].decode(errors="ignore")
    return stem + name.suffix


def find_problem(photo: Path) -> str | None:
    """Return why the file cannot be a photo, or None."""
    if photo.suffix.lower() not in TYPES:
        return "not uploaded. Send a JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF."
    try:
        with photo.open("rb") as file:
            return None if file.read(1) else "not uploaded. The file is empty."
    except OSError as error:
        return f"not uploaded. {error.strerror}."


def describe(photo: dict[str, Any] | None) -> str:
    """Return what a photo or a listing shows, for people: they read categories, not labels."""
    if photo is None or photo.get("status") == "PENDING":
        return "Not classified in time."
    if photo.get("error"):
        return str(photo["error"]["message"])
    if photo["category"] is None:
        return "We cannot say what this is."
    name, percent = photo["category"]["name"], int(round(100 * photo["confidence"], 2))  # 99.9 % is not certain
    return f"We are not sure. Perhaps: {name} ({percent}%)" if photo["needs_review"] else f"{name} ({percent}%)"


def main() -> None:
    """Upload the photos that the command line names, and print the results. Exit with 1 if a photo has no category."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", metavar="API_URL", help="for example http://127.0.0.1:8000")
    parser.add_argument("photos", metavar="PHOTO", nargs="+", type=Path, help="a file of the listing")
    arguments = parser.parse_args()
    problems = {photo: problem for photo in arguments.photos if (problem := find_problem(photo))}
    classifier = Classifier(arguments.url, os.environ.get("CLASSIFIER_API_KEY"))
    try:
        batch_id, sent, others = classifier.upload([photo for photo in arguments.photos if photo not in problems])
        batch = classifier.wait_for_verdict(batch_id, set(sent)) if sent else {"items": [], "category": None}
    except ApiError as error:
        sys.exit(str(error))
    items = {item["id"]: item for item in batch["items"]}
    texts = {photo: describe(items.get(one)) for one, photo in sent.items()} | problems | others
    for photo in arguments.photos:
        print(f"{photo if str(photo).isprintable() else ascii(str(photo))}: {texts[photo]}")
    print(f"The listing: {describe(batch)}")
    sys.exit(bool(problems or others) or any(not items.get(one, {}).get("category") for one in sent))


if __name__ == "__main__":
    main()
