"""Runs the function as Lambda does: in execution environments, each of which handles one event at a time."""

import json
import os
import queue
import signal
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

from local.template import function_settings

if TYPE_CHECKING:
    from io import TextIOWrapper

    from aws_lambda_powertools.utilities.typing import LambdaContext


class FunctionError(Exception):
    """The function raised an error or ended. The arguments are the error's type and message, as Lambda reports them."""


class Invocable(Protocol):
    """Answers events: the function, or what replaces it."""

    def invoke(self, event: Any) -> Any:
        """Return the answer. Raise `FunctionError` if there is none."""


@dataclass
class Context:
    """The part of Lambda's context object that the function uses."""

    function_name: str = "classifier"
    memory_limit_in_mb: int = field(default_factory=lambda: function_settings().memory_mb)
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    deadline: float = field(default_factory=lambda: time.monotonic() + function_settings().timeout_seconds)

    @property
    def invoked_function_arn(self) -> str:
        """An invented ARN in the right form."""
        return f"arn:aws:lambda:us-east-1:123456789012:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda would stop the invocation."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))


class Function:
    """The function, in `concurrency` execution environments. An event waits until one of them is idle."""

    def __init__(self, settings: Mapping[str, str], concurrency: int, timeout_seconds: float | None = None) -> None:
        """`settings` are environment variables. The timeout is the template's unless another one is given."""
        timeout = function_settings().timeout_seconds if timeout_seconds is None else timeout_seconds
        self._environments = [_Environment(dict(settings), timeout) for _ in range(concurrency)]
        self._idle: queue.Queue[_Environment] = queue.Queue()
        for environment in self._environments:
            self._idle.put(environment)

    def warm_up(self) -> None:
        """Wait until every environment has loaded the function and its model. Raise `FunctionError` if one cannot."""
        health = {"httpMethod": "GET", "path": "/health", "requestContext": {"requestId": "warm-up"}}
        for environment in self._environments:
            environment.send(health)
        for environment in self._environments:
            environment.receive()

    def invoke(self, event: Any) -> Any:
        """Return the function's answer. Raise `FunctionError` if it raised an error, timed out or died."""
        environment = self._idle.get()
        try:
            environment.send(event)
            return environment.receive()
        finally:
            self._idle.put(environment)

    def stop(self) -> None:
        """End each process once it is idle. Later events wait forever."""
        for _ in self._environments:
            self._idle.get().end()


class CrashingFunction:
    """A function whose process dies at each event, as Lambda ends one that takes too much memory."""

    def invoke(self, _: Any) -> NoReturn:
        """Raise `FunctionError`."""
        raise _exit_error()


def _exit_error() -> FunctionError:
    return FunctionError("Runtime.ExitError", "The function's process ended.")


class _Environment:
    """A process with its own interpreter, clients and model. It is started again when it dies, as on Lambda."""

    def __init__(self, settings: dict[str, str], timeout_seconds: float) -> None:
        self._settings = settings
        self._timeout_seconds = timeout_seconds
        self._start()

    def send(self, event: Any) -> None:
        """Begin an invocation. If the process has died, `receive` finds out."""
        with suppress(BrokenPipeError):
            self._connection.send(json.dumps(event))

    def receive(self) -> Any:
        """Wait for the invocation's answer."""
        if not self._connection.poll(self._timeout_seconds):
            self._restart()
            raise FunctionError("Sandbox.Timedout", f"Task timed out after {self._timeout_seconds} seconds")
        try:
            answer = json.loads(self._connection.recv())
        except (EOFError, ConnectionError):
            self._restart()
            raise _exit_error() from None
        if "errorType" in answer:
            raise FunctionError(answer["errorType"], answer["errorMessage"])
        return answer["answer"]

    def end(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.join()
        self._connection.close()

    def _start(self) -> None:
        context = get_context("spawn")  # a fork would copy the locks of threads
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._settings), daemon=True)
        self._process.start()
        theirs.close()  # so that each process notices when the other one ends

    def _restart(self) -> None:
        self.end()
        self._start()


def _serve(connection: "Connection[str, str]", settings: dict[str, str]) -> None:
    """Answer events until the local system ends. Runs in the process of an execution environment."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends this one
    os.environ.update(settings)
    cast("TextIOWrapper", sys.stdout).reconfigure(line_buffering=True)  # so that metrics do not wait for other lines
    from classifier.app import lambda_handler  # noqa: PLC0415 - Powertools reads the environment while it is imported

    _load_model_quietly()
    if settings.get("LOG") == "plain":
        from local.console import print_plain_lines  # noqa: PLC0415 - likewise

        print_plain_lines()
    with suppress(EOFError, BrokenPipeError):
        while True:
            connection.send(json.dumps(_answer(lambda_handler, json.loads(connection.recv()))))


def _load_model_quietly() -> None:
    """Load the model without the line that tflite-runtime prints to stderr when it does."""
    from classifier.app import get_services  # noqa: PLC0415 - after the environment is set

    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - os.devnull is no path
        os.dup2(nowhere.fileno(), 2)
    with suppress(Exception):  # the first event meets the same error, and reports it
        _ = get_services().model
    os.dup2(stderr, 2)
    os.close(stderr)


def _answer(handler: Any, event: Any) -> dict[str, Any]:
    try:
        return {"answer": handler(event, cast("LambdaContext", Context()))}
    except Exception as error:  # Lambda reports any error
        return {"errorType": type(error).__name__, "errorMessage": str(error)}
