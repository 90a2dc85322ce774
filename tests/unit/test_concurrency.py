"""A batch's photos are worked on several at a time: each once, none forgotten, and no more pixels than one may have."""

import io
import json
import threading
from dataclasses import replace

import pytest
from PIL import Image

from tests.support.events import s3_event
from classifier import structure
from classifier.classify import Origin, classify
from classifier.records import Source
from classifier.services import MEGABYTES_OF_A_PROCESSOR, Services
from classifier.telemetry import Stopwatch, flush_metrics
from tests.support.bucket import Bucket
from tests.support.api import handle
from tests.support.drawings import encoded, photo

PATIENCE = 10  # seconds


def test_several_are_worked_on_at_once_and_answered_in_their_order(services: Services) -> None:
    together = threading.Barrier(services.threads)  # which one thread alone would wait at for ever

    def work(number: int) -> int:
        together.wait(PATIENCE)
        return number * number

    assert services.each(work, range(services.threads)) == [number * number for number in range(services.threads)]


@pytest.mark.parametrize("items", [[1], [1, 2]])
def test_one_thread_and_one_item_need_no_other(services: Services, items: list[int]) -> None:
    alone = replace(services, threads=1) if len(items) > 1 else services

    assert alone.each(lambda _: threading.current_thread(), items) == [threading.main_thread()] * len(items)


def test_what_is_worked_on_may_have_parts(services: Services) -> None:
    """They are done where it is, or all threads would wait for others' parts."""
    parts = services.each(lambda number: services.each(lambda part: number + part, [0, 1, 2]), list(range(20)))

    assert parts == [[number, number + 1, number + 2] for number in range(20)]


@pytest.mark.parametrize(("memory", "processors"), [(512, 1), (MEGABYTES_OF_A_PROCESSOR, 1), (3538, 2), (10240, 5)])
def test_memory_buys_processors(memory: int, processors: int) -> None:
    environment = {"BUCKET_NAME": "b", "TABLE_NAME": "t", "MODEL_DIR": "m", "CURSOR_KEY": "k"}
    made = Services.from_environment({**environment, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory)})

    assert (made.processors, made.threads) == (processors, 3 * processors)


def test_threads_agree_with_the_main_one(services: Services) -> None:
    origin = Origin.new(photo(), Source.BYTES)
    photos = [photo(kind, (300 + number, 300)) for number in range(6) for kind in ("t-shirt", "pants")]

    def scores(data: bytes) -> dict[str, float]:
        return dict(classify(data, origin, services, Stopwatch()).scores)

    assert services.each(scores, photos) == [scores(data) for data in photos]


def test_a_batch_is_counted_photo_by_photo(
    services: Services, bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    """And each line of the log is a line."""
    keys = [f"uploads/{number}.jpg" for number in range(30)]
    for number, key in enumerate(keys):
        bucket.put(key, photo(size=(300 + number, 300)))
    flush_metrics()  # what other tests left
    capsys.readouterr()

    handle(s3_event(*keys), services)
    flush_metrics()

    measured = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert sum(len(line["Classified"]) for line in measured if "Classified" in line) == 30
    for name in ("PhotosFailed", "PhotosForReview", "FetchTime", "DecodeTime", "InferTime", "StoreTime"):
        assert sum(len(line[name]) for line in measured if name in line) == 30, name


def opened(size: tuple[int, int], name: str = "PNG") -> Image.Image:
    return Image.open(io.BytesIO(encoded(Image.new("RGB", size), name)))


@pytest.mark.parametrize(
    ("first", "second", "waits"),
    [
        (opened((6, 10)), opened((4, 10)), False),
        (opened((6, 10)), opened((5, 10)), True),
        (opened((2, 2)), opened((16, 16), "AVIF"), True),
        (opened((16, 16), "AVIF"), opened((2, 2)), True),
    ],
    ids=["there is room", "there is none", "an AVIF comes", "an AVIF is there"],
)
def test_photos_at_work_have_so_many_pixels_together(first: Image.Image, second: Image.Image, waits: bool) -> None:  # noqa: FBT001
    entered = threading.Event()

    def enter() -> None:
        with structure.room(second, 100):
            entered.set()

    other = threading.Thread(target=enter, daemon=True)
    with structure.room(first, 100):
        other.start()
        assert entered.wait(0.2 if waits else PATIENCE) is not waits
    assert entered.wait(PATIENCE)
    other.join()
