"""A storefront's client: uploads a listing's photos and says what they show.

    python docs/storefront.py API PHOTO …

On AWS, CLASSIFIER_API_KEY holds the API's key.
"""

import mimetypes
import os
import sys
import time
from pathlib import Path
from typing import Any

import requests


class Classifier:
    """The API, with its key where it wants one."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        if key:
            self._session.headers["x-api-key"] = key

    def upload(self, photos: list[Path]) -> str:
        """Send the photos of one listing straight to the bucket; gives their batch's id."""
        files = [{"name": photo.name, "content_type": mimetypes.guess_type(photo.name)[0]} for photo in photos]
        uploads = self._ask("POST", "/uploads", json={"files": files})
        for photo, form in zip(photos, uploads["items"], strict=True):
            answer = requests.post(form["url"], form["fields"], files={"file": photo.read_bytes()}, timeout=60)
            answer.raise_for_status()
        batch_id: str = uploads["batch_id"]
        return batch_id

    def verdict(self, batch_id: str, patience: float = 60) -> dict[str, Any]:
        """The batch once none of its photos waits any more; raises `TimeoutError` if that takes too long."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            try:
                batch = self._ask("GET", f"/batches/{batch_id}")
            except LookupError:  # announced a moment ago
                batch = {"pending": 1}
            if not batch["pending"]:
                return batch
            time.sleep(0.5)
        raise TimeoutError(f"The photos of {batch_id} are not classified after {patience:g} seconds.")

    def confirm(self, photo_id: str, label: str) -> None:
        """Say which label is right."""
        self._ask("PUT", f"/confirmations/{photo_id}", json={"label": label})

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = self._session.request(method, self._url + path, timeout=30, **options)
        if answer.status_code == requests.codes.not_found:
            raise LookupError(path)
        if not answer.ok:
            raise RuntimeError(answer.json()["error"]["message"])
        content: dict[str, Any] = answer.json()
        return content


def main() -> None:
    """Upload what the command line names, and tell the verdict."""
    classifier = Classifier(sys.argv[1], os.environ.get("CLASSIFIER_API_KEY"))
    batch = classifier.verdict(classifier.upload([Path(name) for name in sys.argv[2:]]))
    for item in batch["items"]:
        print(f"{item['id']}: {item['label'] or item['error']['message']}")
    print(f"It looks like you are selling: {batch['label']} ({batch['confidence']:.0%})")


if __name__ == "__main__":
    main()
