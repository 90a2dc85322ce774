"""A storefront's client: uploads the photos of one listing, then prints the label of each photo and the verdict.

    python3 docs/storefront.py API_URL PHOTO …

On AWS, the environment variable CLASSIFIER_API_KEY holds the API key.
"""

import json
import mimetypes
import os
import sys
import time
import uuid
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPSConnection
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

for _format in ("webp", "heic", "heif", "avif"):  # older versions of Python do not know all of these
    mimetypes.add_type(f"image/{_format}", f".{_format}")


class Classifier:
    """A client of the API."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Content-Type": "application/json", **({"x-api-key": key} if key else {})}

    def upload(self, photos: list[Path]) -> str:
        """Upload the photos of one listing to the bucket. Return the id of their batch."""
        files = [{"name": photo.name, "content_type": mimetypes.guess_type(photo.name)[0]} for photo in photos]
        uploads = self._request("POST", "/uploads", {"files": files})
        for photo, form in zip(photos, uploads["items"], strict=True):
            _post_form(form["url"], form["fields"], photo.read_bytes())
        return str(uploads["batch_id"])

    def wait_for_verdict(self, batch_id: str, timeout: float = 60) -> dict[str, Any]:
        """Return the batch when no photo is pending. Raise `TimeoutError` after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                batch = self._request("GET", f"/batches/{batch_id}")
            except LookupError:  # lists are about a second behind: the batch is not in the index yet
                batch = {"pending": 1}
            if not batch["pending"]:
                return batch
            time.sleep(0.5)
        raise TimeoutError(f"The photos of batch {batch_id} are not classified after {timeout:g} seconds.")

    def _request(self, method: str, path: str, content: Any = None) -> dict[str, Any]:
        """Return the answer to a request. Raise `LookupError` for a 404 and `RuntimeError` for other errors."""
        body = None if content is None else json.dumps(content).encode()
        status, answer = _send(method, self._url + path, body, self._headers)
        result: dict[str, Any] = json.loads(answer)
        if status == HTTPStatus.NOT_FOUND:
            raise LookupError(path)
        if status >= HTTPStatus.BAD_REQUEST:
            raise RuntimeError(result["error"]["message"])
        return result


def _post_form(url: str, fields: dict[str, str], photo: bytes) -> None:
    """Post a presigned form: all fields, then the photo as `file` (RFC 7578)."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="'
    texts = "".join(f'{head}{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
    body = f'{texts}{head}file"; filename="photo"\r\n\r\n'.encode() + photo + f"\r\n--{boundary}--\r\n".encode()
    status, answer = _send("POST", url, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    if status >= HTTPStatus.BAD_REQUEST:
        raise RuntimeError(f"The bucket answered {status}: {answer.decode()}")


def _send(method: str, url: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection_class = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    with closing(connection_class(parts.netloc, timeout=60)) as connection:
        connection.request(method, parts.path or "/", body, headers)
        response = connection.getresponse()
        return response.status, response.read()


def main() -> None:
    """Upload the photos that the command line names, and print what the API says of them."""
    classifier = Classifier(sys.argv[1], os.environ.get("CLASSIFIER_API_KEY"))
    batch = classifier.wait_for_verdict(classifier.upload([Path(name) for name in sys.argv[2:]]))
    for photo in sorted(batch["items"], key=itemgetter("id")):
        print(f"{photo['id']}: {photo['label'] or photo['error']['message']}")
    if batch["label"]:
        print(f"It looks like you are selling: {batch['label']} ({batch['confidence']:.0%})")


if __name__ == "__main__":
    main()
