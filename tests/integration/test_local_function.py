"""The local stand-in for Lambda: what happens when the function does not answer."""

from collections.abc import Iterator

import pytest

from tests.support.events import api_event
from tests.support.paths import ROOT
from local.aws import environment
from local.function import Function, FunctionError


@pytest.fixture
def function() -> Iterator[Function]:
    """With one execution environment, and no AWS behind it."""
    settings = {"BUCKET_NAME": "photos", "TABLE_NAME": "classifications", "MODEL_DIR": str(ROOT / "model")}
    function = Function(environment("http://127.0.0.1:1") | settings, 1)
    yield function
    function.stop()


def test_an_invocation_that_takes_too_long_is_ended_and_the_next_one_finds_a_new_process(
    function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda retries an upload's event that timed out as one that failed: `test_triggers.py` goes on from there."""
    with monkeypatch.context() as patched:
        patched.setattr("local.function._TIMEOUT_SECONDS", 0.01)
        with pytest.raises(FunctionError) as raised:
            function.invoke(api_event("GET", "/health"))

    assert raised.value.args == ("Sandbox.Timedout", "Task timed out after 0.01 seconds")
    assert function.invoke(api_event("GET", "/health"))["statusCode"] == 200
