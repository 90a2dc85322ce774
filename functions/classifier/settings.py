"""The settings of the function, read from the environment once, typed, with their defaults."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from classifier.limits import Limits

MEGABYTES_PER_VCPU = 1769  # Lambda gives one vCPU to a function of this memory size


class SettingsError(Exception):
    """Settings are missing or malformed. The message names all of them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The operator's settings. README's table of settings explains each of them."""

    bucket: str
    table: str
    model_directory: Path
    limits: Limits
    retention_days: int
    index_shards: int
    review_threshold: float | None
    allow_loopback_urls: bool
    cursor_key: str
    event_bus: str | None
    endpoint: str | None  # of an emulator of AWS
    memory_mb: int  # of the Lambda function

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings. Raise a `SettingsError` that names everything that is wrong with them."""
        reader = _Reader(environment)
        allow_loopback_urls = environment.get("ALLOW_LOOPBACK_URLS", "") == "1"
        if allow_loopback_urls and "AWS_LAMBDA_RUNTIME_API" in environment:
            reader.problems.append(
                "ALLOW_LOOPBACK_URLS opens Lambda's own runtime to strangers and must not be set there"
            )
        default = Limits()
        settings = cls(
            bucket=reader.required("BUCKET_NAME"),
            table=reader.required("TABLE_NAME"),
            model_directory=Path(reader.required("MODEL_DIR")),
            limits=Limits(
                file_bytes=reader.whole_number("MAX_IMAGE_BYTES", default.file_bytes),
                pixels=reader.whole_number("MAX_IMAGE_PIXELS", default.pixels),
                side=reader.whole_number("MAX_IMAGE_SIDE", default.side),
            ),
            retention_days=reader.whole_number("RETENTION_DAYS", 365),
            index_shards=reader.whole_number("INDEX_SHARDS", 1),
            review_threshold=reader.share("REVIEW_THRESHOLD"),
            allow_loopback_urls=allow_loopback_urls,
            cursor_key=reader.required("CURSOR_KEY"),
            event_bus=environment.get("EVENT_BUS") or None,
            endpoint=environment.get("AWS_ENDPOINT_URL") or None,
            memory_mb=reader.whole_number("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEGABYTES_PER_VCPU),
        )
        if reader.problems:
            raise SettingsError("; ".join(reader.problems))
        return settings


class _Reader:
    """Reads variables, and collects the problems. After a problem, the returned value must not be used."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.problems: list[str] = []
        self._environment = environment

    def required(self, name: str) -> str:
        text = self._environment.get(name, "")
        if not text:
            self.problems.append(f"{name} is not set")
        return text

    def whole_number(self, name: str, default: int) -> int:
        text = self._environment.get(name) or str(default)
        if text.isdecimal() and int(text) > 0:
            return int(text)
        self.problems.append(f"{name} must be a whole number above 0, not {text!r}")
        return default

    def share(self, name: str) -> float | None:
        text = self._environment.get(name)
        if not text:
            return None
        with suppress(ValueError):
            if 0 <= float(text) <= 1:
                return float(text)
        self.problems.append(f"{name} must be a number from 0 to 1, or nothing, not {text!r}")
        return None
