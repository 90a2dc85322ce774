"""The environment to settings."""

from pathlib import Path

import pytest

from classifier.limits import Limits
from classifier.settings import Settings, SettingsError

REQUIRED = {"BUCKET_NAME": "photos", "TABLE_NAME": "classifications", "MODEL_DIR": "/model", "CURSOR_KEY": "key"}


def test_defaults_are_those_of_the_contract() -> None:
    settings = Settings.from_environment(REQUIRED)

    assert settings == Settings(
        "photos",
        "classifications",
        Path("/model"),
        Limits(),
        365,
        review_threshold=None,
        allow_loopback_urls=False,
        cursor_key="key",
        event_bus=None,
    )
    assert settings.limits == Limits(25 * 1024 * 1024, 50_000_000, 20_000)


def test_settings_are_read() -> None:
    settings = Settings.from_environment(
        REQUIRED
        | {"MAX_IMAGE_BYTES": "1", "MAX_IMAGE_PIXELS": "2", "MAX_IMAGE_SIDE": "3", "RETENTION_DAYS": "4"}
        | {"REVIEW_THRESHOLD": "0.5"}
        | {"ALLOW_LOOPBACK_URLS": "1"}
    )

    assert settings.limits == Limits(1, 2, 3)
    assert settings.retention_days == 4
    assert settings.review_threshold == 0.5
    assert settings.allow_loopback_urls


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({"TABLE_NAME": "", "MAX_IMAGE_BYTES": "many", "RETENTION_DAYS": "-1"})

    for name in ("BUCKET_NAME", "TABLE_NAME", "MODEL_DIR", "MAX_IMAGE_BYTES", "RETENTION_DAYS", "CURSOR_KEY"):
        assert name in str(raised.value)


@pytest.mark.parametrize("text", ["high", "-0.1", "1.1", "nan"])
def test_a_threshold_is_a_share(text: str) -> None:
    with pytest.raises(SettingsError, match="REVIEW_THRESHOLD must be a number from 0 to 1"):
        Settings.from_environment(REQUIRED | {"REVIEW_THRESHOLD": text})


def test_a_setting_that_is_empty_is_as_one_that_is_not_there() -> None:
    """As the template passes on a parameter that nobody gave."""
    assert Settings.from_environment(REQUIRED | {"REVIEW_THRESHOLD": "", "MAX_IMAGE_BYTES": ""}) == (
        Settings.from_environment(REQUIRED)
    )


def test_loopback_urls_are_never_allowed_on_lambda() -> None:
    """Lambda's runtime API listens on a loopback address."""
    with pytest.raises(SettingsError, match="ALLOW_LOOPBACK_URLS"):
        Settings.from_environment(REQUIRED | {"ALLOW_LOOPBACK_URLS": "1", "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001"})
