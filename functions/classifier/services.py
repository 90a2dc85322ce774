"""What lives longer than an invocation: settings, AWS clients, table, bucket and model."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar

from classifier.description import Description
from classifier.settings import MEGABYTES_PER_VCPU, Settings

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

    from classifier.bucket import Bucket
    from classifier.clients import Clients
    from classifier.decoders import Decoders
    from classifier.download import Downloader
    from classifier.model import Model
    from classifier.records import Records
    from classifier.signing_keys import SigningKeys

# ruff: noqa: PLC0415 - a cold start imports only what its event needs

# While one photo is decoded, others are on their way from S3 and to DynamoDB, which takes about twice as long.
_THREADS_PER_VCPU = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


class _LockedCachedProperty(Generic[Result]):
    """A cached property that is safe between threads: the first thread that asks makes the value, the others wait."""

    _lock = threading.RLock()  # re-entrant: one part may need another

    def __init__(self, make: Callable[[Any], Result]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    def __get__(self, services: Any, _: type | None = None) -> Result:
        parts = vars(services)  # once the value is there, Python finds it before this method
        with self._lock:
            if self._name not in parts:
                parts[self._name] = self._make(services)
        made: Result = parts[self._name]
        return made


@dataclass(eq=False)
class Services:
    """Passed to every handler. Each part is created on first use: no kind of event needs all of them."""

    settings: Settings

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings. Raise `SettingsError` if some are missing or malformed. Connects to nothing."""
        return cls(Settings.from_environment(environment))

    @property
    def vcpus(self) -> int:
        """How many processors the function may use."""
        return max(1, self.settings.memory_mb // MEGABYTES_PER_VCPU)

    @property
    def threads(self) -> int:
        """How many photos of a batch are worked on at the same time."""
        return self.vcpus * _THREADS_PER_VCPU

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Call the function with each item, several at a time. Return the results in order, or raise the first error.

        Calls within a call run one after another: if they waited for threads of the same pool, none would be left.
        """
        if len(items) == 1 or threading.current_thread() is not threading.main_thread():
            return [function(item) for item in items]
        return list(self._pool.map(function, items))

    def warm_up(self) -> None:
        """Make everything that an upload needs."""
        self.decoders.start()
        _ = self.bucket, self.records, self.model
        if self.settings.event_bus:
            _ = self.eventbridge

    @_LockedCachedProperty
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads)

    @_LockedCachedProperty
    def _clients(self) -> "Clients":
        from classifier.clients import Clients

        return Clients()

    @_LockedCachedProperty
    def bucket(self) -> "Bucket":
        """The bucket of photos."""
        from botocore.config import Config

        from classifier.bucket import Bucket

        # Browsers must post to the bucket's own region, which only the virtual-hosted address names. Emulators have no
        # DNS names for buckets.
        addressing: Literal["path", "virtual"] = "path" if self.settings.endpoint else "virtual"
        signing = Config(signature_version="s3v4", s3={"addressing_style": addressing})
        return Bucket(self._clients.make("s3", signing), self.settings.bucket)

    @_LockedCachedProperty
    def records(self) -> "Records":
        """The table of classifications."""
        from classifier.records import Records

        return Records(self._clients.make("dynamodb"), self.settings.table, self.settings.index_shards, self.map)

    @_LockedCachedProperty
    def signing_keys(self) -> "SigningKeys":
        """The keys that sign sellers' tokens."""
        from classifier.signing_keys import SigningKeys

        return SigningKeys(self.records)

    @_LockedCachedProperty
    def eventbridge(self) -> "EventBridgeClient":
        """The client of EventBridge."""
        client: EventBridgeClient = self._clients.make("events")
        return client

    @_LockedCachedProperty
    def downloader(self) -> "Downloader":
        """Fetches photos from URLs that strangers send."""
        from classifier.download import Downloader

        return Downloader(self.settings.limits.file_bytes, allow_loopback=self.settings.allow_loopback_urls)

    @_LockedCachedProperty
    def decoders(self) -> "Decoders":
        """As many decoding processes as there are processors."""
        from classifier.decoders import Decoders

        return Decoders(self.vcpus)

    @_LockedCachedProperty
    def description(self) -> Description:
        """The model's description, with the operator's review threshold if there is one. Does not load the model."""
        description = Description.read(self.settings.model_directory)
        if self.settings.review_threshold is None:
            return description
        return replace(description, review_threshold=self.settings.review_threshold)

    @_LockedCachedProperty
    def model(self) -> "Model":
        """The model, loaded."""
        from classifier.model import Model

        return Model(self.settings.model_directory, self.description, self.vcpus)
