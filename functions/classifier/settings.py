"""The environment, read once: every setting of the function, typed, with its default."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from classifier.photos import Limits


class SettingsError(Exception):
    """Settings are missing or malformed; the message names all of them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator decides. The README's table of settings says what each one is for."""

    bucket: str
    table: str
    model_directory: Path
    limits: Limits
    retention_days: int
    allow_loopback_urls: bool

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings; raises `SettingsError` that tells everything that is wrong with them at once."""
        problems: list[str] = []

        def required(name: str) -> str:
            if not environment.get(name):
                problems.append(f"{name} is not set")
            return environment.get(name, "")

        def whole_number(name: str, default: int) -> int:
            text = environment.get(name) or str(default)
            if text.isdecimal() and int(text) > 0:
                return int(text)
            problems.append(f"{name} must be a whole number above 0, not {text!r}")
            return default

        allow_loopback_urls = environment.get("ALLOW_LOOPBACK_URLS", "") == "1"
        if allow_loopback_urls and "AWS_LAMBDA_RUNTIME_API" in environment:
            problems.append("ALLOW_LOOPBACK_URLS opens Lambda's own runtime to strangers and must not be set there")
        default = Limits()
        settings = cls(
            bucket=required("BUCKET_NAME"),
            table=required("TABLE_NAME"),
            model_directory=Path(required("MODEL_DIR")),
            limits=Limits(
                file_bytes=whole_number("MAX_IMAGE_BYTES", default.file_bytes),
                pixels=whole_number("MAX_IMAGE_PIXELS", default.pixels),
                side=whole_number("MAX_IMAGE_SIDE", default.side),
            ),
            retention_days=whole_number("RETENTION_DAYS", 365),
            allow_loopback_urls=allow_loopback_urls,
        )
        if problems:
            raise SettingsError("; ".join(problems))
        return settings
