"""What outlives an invocation: settings, clients, table and model, each made once and passed to whoever needs it."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self, TypeVar

import boto3
from botocore.config import Config

from classifier.description import Description
from classifier.download import Downloader
from classifier.records import Records
from classifier.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client

    from classifier.model import Model


MEGABYTES_OF_A_PROCESSOR = 1769  # what Lambda gives one vCPU for
# While one photo is decoded, others come from S3 and go to DynamoDB, which takes about twice as long.
_THREADS_OF_A_PROCESSOR = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Services:
    """Passed to every handler. Clients and model are made at their first use: no kind of event needs all of them.

    `addressing` is how a bucket is named in URLs; `processors`, how many the function may use.
    """

    settings: Settings
    addressing: Literal["path", "virtual"]
    processors: int = 1
    threads: int = _THREADS_OF_A_PROCESSOR

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Raises `SettingsError` where settings are missing. Connects to nothing yet."""
        # Uploads must be posted to the bucket's own region: the virtual-hosted address is the one that names it.
        # Emulators have no wildcard DNS for buckets.
        addressing: Literal["path", "virtual"] = "path" if environment.get("AWS_ENDPOINT_URL") else "virtual"
        memory = int(environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEGABYTES_OF_A_PROCESSOR))
        processors = max(1, memory // MEGABYTES_OF_A_PROCESSOR)
        return cls(Settings.from_environment(environment), addressing, processors, processors * _THREADS_OF_A_PROCESSOR)

    def each(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Do the work for each item, several at a time; gives the results in the items' order, or raises."""
        if self.threads == 1 or len(items) == 1 or threading.current_thread() is not threading.main_thread():
            return [work(item) for item in items]
        self.prepare()  # nothing keeps several threads from making each its own
        return list(self._pool.map(work, items))

    def prepare(self) -> None:
        """Make now what events of the bucket need."""
        _ = self.s3, self.records, self.model
        if self.settings.event_bus:
            _ = self.events

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads)

    @cached_property
    def s3(self) -> "S3Client":
        """The bucket's client."""
        signing = Config(signature_version="s3v4", s3={"addressing_style": self.addressing})
        return boto3.client("s3", config=_patience().merge(signing))

    @cached_property
    def records(self) -> Records:
        """The table."""
        return Records(boto3.client("dynamodb", config=_patience()), self.settings.table)

    @cached_property
    def events(self) -> "EventBridgeClient":
        """The client of the bus of events."""
        return boto3.client("events", config=_patience())

    @cached_property
    def downloader(self) -> Downloader:
        """What fetches strangers' URLs."""
        return Downloader(self.settings.limits.file_bytes, allow_loopback=self.settings.allow_loopback_urls)

    @cached_property
    def description(self) -> Description:
        """What is known of the network without loading it, with the operator's threshold if there is one."""
        description = Description.read(self.settings.model_directory)
        if self.settings.review_threshold is None:
            return description
        return replace(description, review_threshold=self.settings.review_threshold)

    @cached_property
    def model(self) -> "Model":
        """The network, ready to answer."""
        from classifier.model import Model  # noqa: PLC0415 - numpy and the runtime, which most requests do without

        return Model(self.settings.model_directory, self.description, self.processors)


def _patience() -> Config:
    """Few and short tries: Lambda and the queue try again too, and a caller of the API waits for 29 seconds at most.

    Not the adaptive mode: from the first throttled request on it holds a client to twice the rate at which that has
    been sending, which is next to none where one environment has one photo at a time. With a photo a minute, each one
    would wait 2 seconds for as long as the environment lives (measured in tests/stress/test_faults.py).
    """
    return Config(connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 3})
