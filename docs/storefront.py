"""Uploads the photos of one listing, and prints the label of each and the verdict. Exits with 1 if a photo has none.

On AWS, set the environment variable CLASSIFIER_API_KEY to the API key.
"""

import argparse
import json
import mimetypes
import os
import sys
import time
import uuid
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

for _format in ("webp", "heic", "heif", "avif"):  # older versions of Python do not know all of these
    mimetypes.add_type(f"image/{_format}", f".{_format}")
_TYPES = {f"image/{name}" for name in ("jpeg", "png", "webp", "gif", "bmp", "tiff", "heic", "heif", "avif")}


class ApiError(Exception):
    """The API or the bucket returned an error; the message says which."""


class NotFoundError(ApiError):
    """There is no such photo or batch."""


class Classifier:
    """A client of the API."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Content-Type": "application/json", **({"x-api-key": key} if key else {})}

    def upload(self, photos: list[Path]) -> str:
        """Upload the photos of one listing to the bucket. Return the id of their batch.

        Raise `ApiError`, for example if a name is not that of a photo, and `OSError`.
        """
        files = [{"name": photo.name, "content_type": _content_type(photo)} for photo in photos]
        uploads = self._request("POST", "/uploads", {"files": files})
        for photo, form in zip(photos, uploads["items"], strict=True):
            _post_form(form["url"], form["fields"], photo.read_bytes())
        return str(uploads["batch_id"])

    def wait_for_verdict(self, batch_id: str, timeout: float = 60) -> dict[str, Any]:
        """Return the batch when no photo is pending. Raise `TimeoutError` after `timeout` seconds, and `ApiError`."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                batch = self._request("GET", f"/batches/{batch_id}")
            except NotFoundError:  # indexes are eventually consistent: the batch is visible after about one second
                batch = {"pending": 1}
            if not batch["pending"]:
                return batch
            time.sleep(0.5)
        raise TimeoutError(f"The photos of batch {batch_id} are not classified after {timeout:g} seconds.")

    def _request(self, method: str, path: str, content: Any = None) -> dict[str, Any]:
        """Return the JSON of a response. Raise `NotFoundError` for a 404 and `ApiError` for other errors."""
        url = self._url + path
        body = None if content is None else json.dumps(content).encode()
        status, response = _send(method, url, body, self._headers)
        try:
            result: dict[str, Any] = json.loads(response)
            error = result["error"]["message"] if status >= HTTPStatus.BAD_REQUEST else None
        except (ValueError, LookupError, TypeError):
            raise ApiError(f"{url} is not the classifier's API: its response has the status {status}.") from None
        if status == HTTPStatus.NOT_FOUND:
            raise NotFoundError(error)
        if error is not None:
            raise ApiError(error)
        return result


def _content_type(photo: Path) -> str | None:
    return mimetypes.guess_type(photo.name)[0]


def _post_form(url: str, fields: dict[str, str], photo: bytes) -> None:
    """Post a presigned form: all fields, then the photo as `file` (RFC 7578)."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="'
    texts = "".join(f'{head}{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
    body = f'{texts}{head}file"; filename="photo"\r\n\r\n'.encode() + photo + f"\r\n--{boundary}--\r\n".encode()
    status, response = _send("POST", url, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    if status >= HTTPStatus.BAD_REQUEST:
        raise ApiError(f"The bucket returned {status}: {response.decode()}")


def _send(method: str, url: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection_class = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    with closing(connection_class(parts.netloc, timeout=60)) as connection:
        try:
            connection.request(method, parts.path or "/", body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException) as error:
            raise ApiError(f"No response from {url}: {error}") from error


def main() -> None:
    """Upload the photos that the command line names, and print their labels and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", metavar="API_URL", help="for example http://127.0.0.1:8000")
    parser.add_argument("photos", metavar="PHOTO", nargs="+", type=Path, help="a file of the listing")
    arguments = parser.parse_args()
    photos = [photo for photo in arguments.photos if _content_type(photo) in _TYPES]
    for other in set(arguments.photos).difference(photos):
        print(f"{other}: not uploaded. Send a JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF.")
    if not photos:
        sys.exit(1)
    classifier = Classifier(arguments.url, os.environ.get("CLASSIFIER_API_KEY"))
    try:
        batch = classifier.wait_for_verdict(classifier.upload(photos))
    except (ApiError, OSError) as error:
        sys.exit(str(error))
    print_batch(batch)
    if batch["failed"] or len(photos) < len(arguments.photos):
        sys.exit(1)


def print_batch(batch: dict[str, Any]) -> None:
    """Print the label or the error of each photo, and the verdict."""
    for photo in sorted(batch["items"], key=itemgetter("id")):
        print(f"{photo['id']}: {photo['label'] or photo['error']['message']}")
    if batch["label"]:
        print(f"It looks like you are selling: {batch['label']} ({batch['confidence']:.0%})")


if __name__ == "__main__":
    main()
