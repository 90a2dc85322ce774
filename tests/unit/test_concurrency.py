"""Several photos of a batch are worked on at the same time: each once, in a limited amount of memory."""

import os
import threading

import pytest

from classifier.classification import Source
from classifier.classify import Origin, classify
from classifier.services import Services
from classifier.settings import MEGABYTES_PER_VCPU
from classifier.telemetry import Stopwatch
from local.aws import Resources
from tests.support.api import handle
from tests.support.bucket import Bucket
from tests.support.drawings import photo
from tests.support.events import s3_event
from tests.support.metrics import Metrics

TIMEOUT = 10  # seconds


def test_several_items_are_worked_on_at_once_and_returned_in_order(services: Services) -> None:
    together = threading.Barrier(services.threads)  # a single thread would wait at it

    def work(number: int) -> int:
        together.wait(TIMEOUT)
        return number * number

    assert services.map(work, range(services.threads)) == [number * number for number in range(services.threads)]


def test_one_item_is_worked_on_in_the_main_thread(services: Services) -> None:
    assert services.map(lambda _: threading.current_thread(), [1]) == [threading.main_thread()]


def test_two_items_are_worked_on_in_other_threads(services: Services) -> None:
    assert threading.main_thread() not in services.map(lambda _: threading.current_thread(), [1, 2])


def test_a_call_within_a_call_is_made_in_the_same_thread(services: Services) -> None:
    """Otherwise all threads of the pool could wait for each other."""
    numbers = services.map(lambda number: services.map(lambda part: number + part, [0, 1, 2]), list(range(20)))

    assert numbers == [[number, number + 1, number + 2] for number in range(20)]


def test_the_first_error_in_the_order_of_the_items_is_raised(services: Services) -> None:
    with pytest.raises(ZeroDivisionError):
        services.map(lambda number: 1 // number, [1, 0, 2])


def test_threads_that_need_the_same_part_get_the_same_one(aws: Resources) -> None:
    """Each thread asks for the model at the same time, before it was made."""
    services = Services.from_environment(os.environ)
    together = threading.Barrier(services.threads)

    def read_part(_: int) -> object:
        together.wait(TIMEOUT)
        return services.bucket

    assert len({id(part) for part in services.map(read_part, range(services.threads))}) == 1


@pytest.mark.parametrize(("memory", "vcpus"), [(512, 1), (MEGABYTES_PER_VCPU, 1), (3537, 1), (3538, 2), (10240, 5)])
def test_the_number_of_vcpus_follows_from_the_memory(memory: int, vcpus: int) -> None:
    environment = {"BUCKET_NAME": "b", "TABLE_NAME": "t", "MODEL_DIR": "m", "CURSOR_KEY": "k"}
    made = Services.from_environment({**environment, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory)})

    assert (made.vcpus, made.threads) == (vcpus, 3 * vcpus)


def test_other_threads_return_the_scores_of_the_main_thread(services: Services) -> None:
    origin = Origin.new(photo(), Source.BYTES)
    photos = [photo(kind, (300 + number, 300)) for number in range(6) for kind in ("t-shirt", "pants")]

    def scores(data: bytes) -> dict[str, float]:
        return dict(classify(data, origin, services, Stopwatch()).scores)

    assert services.map(scores, photos) == [scores(data) for data in photos]


def test_the_metrics_of_a_batch_count_each_photo(services: Services, bucket: Bucket, metrics: Metrics) -> None:
    keys = [f"uploads/{number}.jpg" for number in range(30)]
    for number, key in enumerate(keys):
        bucket.put(key, photo(size=(300 + number, 300)))

    handle(s3_event(*keys), services)

    for name in ("Classified", "PhotosFailed", "PhotosForReview", "FetchTime", "DecodeTime", "InferTime", "StoreTime"):
        assert len(metrics.values(name)) == 30, name
