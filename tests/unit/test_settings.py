"""Settings from environment variables."""

from pathlib import Path

import pytest

from classifier.limits import Limits
from classifier.settings import Settings, SettingsError

REQUIRED = {"BUCKET_NAME": "photos", "TABLE_NAME": "classifications", "MODEL_DIR": "/model", "CURSOR_KEY": "key"}


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = Settings.from_environment(REQUIRED)

    assert settings == Settings(
        "photos",
        "classifications",
        Path("/model"),
        Limits(),
        365,
        index_shards=1,
        review_threshold=None,
        allow_loopback_urls=False,
        cursor_key="key",
        event_bus=None,
        endpoint=None,
        memory_mb=1769,
    )
    assert settings.limits == Limits(25 * 1024 * 1024, 50_000_000, 20_000)


def test_every_setting_is_read_from_its_variable() -> None:
    settings = Settings.from_environment(
        REQUIRED
        | {"MAX_IMAGE_BYTES": "1", "MAX_IMAGE_PIXELS": "2", "MAX_IMAGE_SIDE": "3", "RETENTION_DAYS": "4"}
        | {"INDEX_SHARDS": "5", "REVIEW_THRESHOLD": "0.5"}
        | {"ALLOW_LOOPBACK_URLS": "1", "EVENT_BUS": "default"}
        | {"AWS_ENDPOINT_URL": "http://127.0.0.1:5000", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "3538"}
    )

    assert settings.limits == Limits(1, 2, 3)
    assert settings.retention_days == 4
    assert settings.index_shards == 5
    assert settings.review_threshold == 0.5
    assert (settings.endpoint, settings.memory_mb) == ("http://127.0.0.1:5000", 3538)
    assert settings.allow_loopback_urls
    assert settings.event_bus == "default"


def test_the_error_names_every_problem() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({"TABLE_NAME": "", "MAX_IMAGE_BYTES": "many", "RETENTION_DAYS": "-1"})

    assert str(raised.value).count("; ") == 5
    assert "MODEL_DIR is not set; " in str(raised.value)
    for name in ("BUCKET_NAME", "TABLE_NAME", "MODEL_DIR", "MAX_IMAGE_BYTES", "RETENTION_DAYS", "CURSOR_KEY"):
        assert name in str(raised.value)


@pytest.mark.parametrize("text", ["high", "-0.1", "1.1", "nan"])
def test_a_threshold_outside_of_0_to_1_is_an_error(text: str) -> None:
    with pytest.raises(SettingsError, match="REVIEW_THRESHOLD must be a number from 0 to 1"):
        Settings.from_environment(REQUIRED | {"REVIEW_THRESHOLD": text})


def test_an_empty_setting_has_its_default() -> None:
    """The template passes an empty text for a parameter without a value."""
    assert Settings.from_environment(REQUIRED | {"REVIEW_THRESHOLD": "", "MAX_IMAGE_BYTES": ""}) == (
        Settings.from_environment(REQUIRED)
    )


def test_loopback_urls_are_an_error_on_lambda() -> None:
    """Lambda's runtime API listens on a loopback address."""
    with pytest.raises(SettingsError, match="ALLOW_LOOPBACK_URLS"):
        Settings.from_environment(REQUIRED | {"ALLOW_LOOPBACK_URLS": "1", "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001"})


@pytest.mark.parametrize("share", ["0", "1"])
def test_a_threshold_of_0_or_1_is_accepted(share: str) -> None:
    settings = Settings.from_environment(REQUIRED | {"REVIEW_THRESHOLD": share})

    assert settings.review_threshold == float(share)


@pytest.mark.parametrize("number", ["0", "1.5", "-1"])
def test_a_limit_that_is_not_a_whole_number_above_0_is_an_error(number: str) -> None:
    with pytest.raises(SettingsError, match="MAX_IMAGE_SIDE must be a whole number above 0"):
        Settings.from_environment(REQUIRED | {"MAX_IMAGE_SIDE": number})
