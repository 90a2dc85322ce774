"""Exports the photos with confirmed labels into a folder of label folders, for `make train`.

    python -m training.export_confirmed FOLDER

Reads the environment variables of the function: BUCKET_NAME, TABLE_NAME, and those of the AWS SDK.
"""

import argparse
import csv
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from classifier.bucket import ObjectNotFound
from classifier.classification import Classification, Image, Source
from classifier.indexes import Filter
from classifier.keys import object_key
from classifier.services import Services
from classifier.settings import SettingsError
from evaluation.dataset import METADATA_COLUMNS, METADATA_FILE

_PAGE_SIZE = 100  # records that a query of the table returns


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.export_confirmed", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder to write train/LABEL/ and senders.csv into")
    folder: Path = parser.parse_args().folder
    model = Path(__file__).parent.parent / "model"
    try:
        services = Services.from_environment({"MODEL_DIR": str(model), "CURSOR_KEY": "none", **os.environ})
        print(f"Exported {export(folder, services)} photos into {folder}.")
    except (SettingsError, BotoCoreError, ClientError, OSError) as error:
        sys.exit(str(error))


def export(folder: Path, services: Services) -> int:
    """Write `folder/train/LABEL/` and `folder/senders.csv`, and return the number of photos.

    The photos of a listing get the same sender, so that no fold separates them. Photos that were replaced or deleted
    after they were confirmed are left out. Raise the AWS SDK's errors and `OSError`.
    """
    rows = []
    for classification, image in _find_confirmed(services):
        photo = _read_photo(classification.id, image, services)
        if photo is not None:
            file = _file_for(classification, image, folder)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(photo)
            rows.append((file.stem, classification.batch_id or classification.id, False))
    _write_metadata(folder, rows)
    return len(rows)


def _find_confirmed(services: Services) -> Iterator[tuple[Classification, Image]]:
    """Find the uploads that have a confirmed label and could be decoded."""
    for label in services.description.labels:
        for classification in _list_label(label, services):
            image = classification.image
            is_confirmed_upload = _is_confirmed(classification) and classification.source is Source.S3
            if is_confirmed_upload and image and image.format:
                yield classification, image


def _is_confirmed(classification: Classification) -> bool:
    """Return whether a person said that the photo shows the label.

    The answer about a whole listing names the piece. A photo of it that the model is unsure about may show its care
    label or its box.
    """
    confirmation = classification.confirmation
    return confirmation is not None and not (confirmation.of_listing and classification.is_uncertain)


def _list_label(label: str, services: Services) -> Iterator[Classification]:
    page = services.records.page(Filter(label=label), _PAGE_SIZE)
    yield from page.classifications
    while page.position is not None:
        page = services.records.page(Filter(label=label), _PAGE_SIZE, page.position)
        yield from page.classifications


def _read_photo(photo_id: str, image: Image, services: Services) -> bytes | None:
    """Read an uploaded photo, or return None if it is another one by now."""
    try:
        stored = services.bucket.open(object_key(photo_id))
    except ObjectNotFound:
        return None
    with stored.body:
        photo = stored.body.read() if stored.size == image.bytes else b""
    return photo if hashlib.sha256(photo).hexdigest() == image.sha256 else None


def _file_for(classification: Classification, image: Image, folder: Path) -> Path:
    name = hashlib.sha256(classification.id.encode()).hexdigest()[:32]  # an id may not be a valid file name
    return folder / "train" / str(classification.confirmed_label) / f"{name}.{str(image.format).lower()}"


def _write_metadata(folder: Path, rows: list[tuple[str, str, bool]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / METADATA_FILE).open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(METADATA_COLUMNS)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
