"""The local form of Lambda: the function does not answer in time."""

from collections.abc import Iterator
from multiprocessing import active_children

import pytest

from local.aws import environment
from local.function import Function, FunctionError
from tests.support.environment import ENVIRONMENT
from tests.support.events import api_event


@pytest.fixture
def function() -> Iterator[Function]:
    """The function, with one execution environment, no AWS and no time to answer."""
    function = Function(ENVIRONMENT | environment("http://127.0.0.1:1"), 1, timeout_seconds=0.01)
    yield function
    function.stop()


def test_an_invocation_that_times_out_is_an_error_and_starts_a_new_process(function: Function) -> None:
    """Lambda retries an event that timed out like one that failed: see `test_triggers.py`."""
    (first,) = active_children()

    with pytest.raises(FunctionError) as raised:
        function.invoke(api_event("GET", "/health"))

    assert raised.value.args == ("Sandbox.Timedout", "Task timed out after 0.01 seconds")
    (second,) = active_children()
    assert first.pid != second.pid


def test_a_process_that_ends_is_an_error_and_the_next_one_answers() -> None:
    function = Function(ENVIRONMENT | environment("http://127.0.0.1:1"), 1)
    (process,) = active_children()
    process.kill()
    process.join()

    with pytest.raises(FunctionError) as raised:
        function.invoke(api_event("GET", "/health"))

    assert raised.value.args == ("Runtime.ExitError", "The function's process ended.")
    assert function.invoke(api_event("GET", "/health"))["statusCode"] == 200
    function.stop()
