"""Makes a folder of label folders of the photos whose labels sellers have said, for `make train`.

    python -m training.confirmed FOLDER

The environment says where they are, as it does for the function: BUCKET_NAME, TABLE_NAME, and AWS's own variables.
"""

import argparse
import csv
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from botocore.exceptions import ClientError

from classifier.records import Classification, Filter, Source
from classifier.services import Services
from classifier.uploads import PREFIX
from training.dataset import SENDERS_FILE

_PAGE = 100


def main() -> None:
    """Export them all, and say how many there were."""
    parser = argparse.ArgumentParser(prog="python -m training.confirmed", description=__doc__)
    parser.add_argument("folder", type=Path, help="where train/LABEL/ and senders.csv are written")
    folder: Path = parser.parse_args().folder
    model = Path(__file__).parent.parent / "model"
    services = Services.from_environment({"MODEL_DIR": str(model), "CURSOR_KEY": "none", **os.environ})
    print(f"{export(folder, services)} photos are in {folder}.")


def export(folder: Path, services: Services) -> int:
    """Write `folder/train/LABEL/` and `folder/senders.csv`; gives the number of photos.

    Photos of one listing have one sender, so that none of them can be held out while others are learnt from. A photo
    that was replaced or removed since its label was said is left out.
    """
    rows = []
    for classification in _confirmed(services):
        photo = _photo(classification, services)
        if photo is None or classification.image is None:
            continue
        name = hashlib.sha256(classification.id.encode()).hexdigest()[:32]  # ids may hold anything
        file = (
            folder
            / "train"
            / str(classification.confirmed_label)
            / f"{name}.{str(classification.image.format).lower()}"
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(photo)
        rows.append((name, classification.batch_id or classification.id, False))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / SENDERS_FILE).open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(("image", "sender_id", "kids"))
        writer.writerows(rows)
    return len(rows)


def _confirmed(services: Services) -> Iterator[Classification]:
    """Uploads that could be read, and whose labels were said."""
    for label in services.description.labels:
        position = None
        while True:
            page = services.records.page(Filter(label=label), _PAGE, position)
            for one in page.classifications:
                if one.confirmed_label and one.source is Source.S3 and one.image and one.image.format:
                    yield one
            if page.position is None:
                break
            position = page.position


def _photo(classification: Classification, services: Services) -> bytes | None:
    """The photo that was classified, if it is there still."""
    etag = classification.image.etag if classification.image else ""
    try:
        answer = services.s3.get_object(
            Bucket=services.settings.bucket, Key=PREFIX + classification.id, IfMatch=f'"{etag}"'
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in {"NoSuchKey", "PreconditionFailed", "412"}:
            return None
        raise
    return answer["Body"].read()


if __name__ == "__main__":
    main()
