"""What outlives an invocation: settings, clients, table and model, each made once and passed to whoever needs it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self

import boto3
from botocore.config import Config

from classifier.description import Description
from classifier.download import Downloader
from classifier.records import Records
from classifier.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from classifier.model import Model


@dataclass(frozen=True)
class Services:
    """Passed to every handler. The model is loaded at its first use: reading a record needs none."""

    settings: Settings
    s3: "S3Client"
    records: Records
    downloader: Downloader

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Make the clients; raises `SettingsError` where settings are missing. Connects to nothing yet."""
        settings = Settings.from_environment(environment)
        # Few and short tries: Lambda and the queue try again too, and a caller of the API waits for 29 seconds at most.
        # Not the adaptive mode: from the first throttled request on it holds a client to twice the rate at which that
        # has been sending, which is next to none where one environment has one photo at a time. With a photo a minute,
        # each one would wait 2 seconds for as long as the environment lives (measured in tests/stress/test_faults.py).
        patience = Config(connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 3})
        # Uploads must be posted to the bucket's own region: the virtual-hosted address is the one that names it.
        # Emulators have no wildcard DNS for buckets.
        addressing: Literal["path", "virtual"] = "path" if environment.get("AWS_ENDPOINT_URL") else "virtual"
        signing = Config(signature_version="s3v4", s3={"addressing_style": addressing})
        return cls(
            settings=settings,
            s3=boto3.client("s3", config=patience.merge(signing)),
            records=Records(boto3.client("dynamodb", config=patience), settings.table),
            downloader=Downloader(settings.limits.file_bytes, allow_loopback=settings.allow_loopback_urls),
        )

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

        return Model(self.settings.model_directory, self.description)
