"""Measure how often the verdict on a listing is right, and write `verdicts.md`.

    python -m benchmarks.verdicts DATA

DATA is the folder of the data set (README, "Train"). Each listing has three test photos of one label and one sender.
Pictures that show no garment are added: care labels, brand tags, screenshots and drawings, which are drawn here.
"""

import argparse
import csv
import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw

from benchmarks.markdown import table
from classifier.batches import judge
from classifier.classification import Classification, Source, Status
from classifier.description import Description
from classifier.limits import Limits
from classifier.model import Model
from classifier.photos import decode

_PAGE = Path(__file__).with_name("verdicts.md")
_MODEL = Path(__file__).parent.parent / "model"
_LISTINGS = 4000
_PHOTOS = 3  # of the garment in each listing
_PICTURES = 60  # of each kind
_INK, _PAPER = (50, 50, 50), (245, 244, 240)

Colour = tuple[int, int, int]


class Judge:
    """Classifies pictures with the committed model, and draws listings of them."""

    def __init__(self) -> None:
        self._description = Description.read(_MODEL)
        self._model = Model(_MODEL, self._description)

    def classify(self, data: bytes) -> Classification:
        """Return the classification of a file."""
        photo = decode(data, self._description.input_size, Limits())
        scores, is_uncertain = self._model.predict(photo.pixels)
        ranked = dict(sorted(scores.items(), key=lambda item: -item[1]))
        return Classification("", Status.SUCCEEDED, Source.S3, datetime.now(UTC), ranked, is_uncertain)

    def share_right(
        self, garments: Sequence[tuple[str, Sequence[Classification]]], others: Sequence[Classification], count: int
    ) -> float:
        """Return the share of listings whose verdict is right, with `count` other pictures in each.

        `garments` are the photos of a label and a sender. Senders with more photos have more listings.
        """
        random, right = Random(0), 0
        weights = [len(photos) for _, photos in garments]
        for label, photos in random.choices(garments, weights, k=_LISTINGS):
            listing = [*random.sample(photos, _PHOTOS), *random.sample(others, count)]
            right += judge(listing, None, self._description.review_threshold).label == label
        return right / _LISTINGS


def main() -> None:
    """Measure, which takes a minute, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data set")
    data: Path = parser.parse_args().data
    judge_ = Judge()
    garments = read_garments(data, judge_)
    pictures = [judge_.classify(encode(draw(Random(seed)))) for draw in PICTURES for seed in range(_PICTURES)]
    unknown = [judge_.classify(file.read_bytes()) for file in sorted((data / "unknown").glob("*.jpg"))]
    rows = [
        [f"{count} of no garment", f"{judge_.share_right(garments, pictures, count):.1%}"] for count in (0, 1, 2)
    ] + [[f"{count} of clothes of no label", f"{judge_.share_right(garments, unknown, count):.1%}"] for count in (1, 2)]
    _PAGE.write_text(format_page(rows, garments, len(pictures), len(unknown)), encoding="utf-8")


def read_garments(data: Path, judge_: Judge) -> list[tuple[str, list[Classification]]]:
    """Return the test photos of each label and sender that has enough of them."""
    by_sender: dict[tuple[str, str], list[Classification]] = defaultdict(list)
    with (data / "senders.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            file = data / "test" / row["label"] / f"{row['image']}.jpg"
            if row["split"] == "test" and file.exists():
                by_sender[row["label"], row["sender_id"]].append(judge_.classify(file.read_bytes()))
    return [(label, photos) for (label, _), photos in by_sender.items() if len(photos) >= _PHOTOS]


def format_page(
    rows: list[list[str]], garments: list[tuple[str, list[Classification]]], pictures: int, unknown: int
) -> str:
    """Return the page."""
    photos = sum(len(found) for _, found in garments)
    return f"""# Verdicts on listings

`make verdicts DATA=folder` measures these figures and writes this page. Each of {_LISTINGS:,} listings has {_PHOTOS}
of {photos} test photos, all of one label and one sender, and none, one or two other pictures. The {pictures} pictures
of no garment are drawn: care labels, brand tags, screenshots and drawings. The {unknown} photos of clothes of no label
are those in `unknown/` of the data set. The model has seen none of the senders.

{table(["other pictures in the listing", "right verdicts"], rows)}
"""


def encode(image: Image.Image) -> bytes:
    """Return the picture as a JPEG."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=88)
    return file.getvalue()


def draw_care_label(random: Random) -> Image.Image:
    """Draw a label sewn into cloth, with lines of text and symbols."""
    image = Image.new("RGB", (400, random.choice((300, 533))), _colour(random, 120, 220))
    drawing = ImageDraw.Draw(image)
    left, top = random.randrange(40, 90), random.randrange(30, 80)
    width, height = random.randrange(180, 260), random.randrange(180, 240)
    drawing.rectangle((left, top, left + width, top + height), fill=_PAPER, outline=(200, 200, 195))
    for line in range(random.randrange(3, 6)):
        y = top + 20 + line * 18
        drawing.line((left + 15, y, left + 15 + random.randrange(60, width - 30), y), fill=_INK, width=3)
    for number in range(5):
        x, y = left + 20 + number * (width - 30) // 5, top + height - 50
        random.choice((drawing.rectangle, drawing.ellipse))((x, y, x + 24, y + 24), outline=_INK, width=2)
    return image.rotate(random.randrange(-8, 8), fillcolor=image.getpixel((2, 2)))


def draw_tag(random: Random) -> Image.Image:
    """Draw a paper tag on a string."""
    image = Image.new("RGB", (400, 400), _colour(random, 60, 230))
    drawing = ImageDraw.Draw(image)
    drawing.rectangle((130, 80, 280, 330), fill=_colour(random, 0, 255))
    drawing.ellipse((195, 95, 215, 115), fill=image.getpixel((2, 2)))
    drawing.text((160, 180), random.choice(("SIZE M", "100% COTTON", "NEW", "29.99")), fill=(255, 255, 255))
    drawing.line((205, 95, 240, 0), fill=(230, 230, 230), width=3)
    return image


def draw_screenshot(random: Random) -> Image.Image:
    """Draw the screen of a phone with a list."""
    image = Image.new("RGB", (360, 640), (250, 250, 250))
    drawing = ImageDraw.Draw(image)
    drawing.rectangle((0, 0, 360, 60), fill=_colour(random, 0, 200))
    for row in range(6):
        y = 90 + row * 85
        drawing.rectangle((20, y, 340, y + 70), fill=(255, 255, 255), outline=(210, 210, 210))
        drawing.rectangle((30, y + 10, 80, y + 60), fill=_colour(random, 80, 220))
        drawing.line((100, y + 22, random.randrange(180, 320), y + 22), fill=(90, 90, 90), width=5)
        drawing.line((100, y + 42, random.randrange(150, 300), y + 42), fill=(170, 170, 170), width=4)
    return image


def draw_shapes(random: Random) -> Image.Image:
    """Draw rectangles and ellipses."""
    image = Image.new("RGB", (400, 400), (255, 255, 255))
    drawing = ImageDraw.Draw(image)
    for _ in range(random.randrange(4, 9)):
        (left, right), (top, bottom) = (sorted(random.sample(range(400), 2)) for _ in range(2))
        shape = random.choice((drawing.rectangle, drawing.ellipse))
        shape((left, top, right, bottom), fill=_colour(random, 0, 255))
    return image


def _colour(random: Random, darkest: int, brightest: int) -> Colour:
    return (
        random.randrange(darkest, brightest),
        random.randrange(darkest, brightest),
        random.randrange(darkest, brightest),
    )


PICTURES: tuple[Callable[[Random], Image.Image], ...] = (draw_care_label, draw_tag, draw_screenshot, draw_shapes)

if __name__ == "__main__":
    main()
