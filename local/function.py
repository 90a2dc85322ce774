"""Runs the Lambda function as AWS does: in execution environments of their own, each with one event at a time."""

import json
import os
import queue
import signal
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_MEMORY_MB = 1769  # what buys one vCPU on Lambda
_TIMEOUT_SECONDS = 60  # the template's


class FunctionError(Exception):
    """The function raised or died; the arguments are the error's type and message, as Lambda reports them."""


@dataclass
class Context:
    """What the function reads of Lambda's context object."""

    function_name: str = "classifier"
    memory_limit_in_mb: int = _MEMORY_MB
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    deadline: float = field(default_factory=lambda: time.monotonic() + _TIMEOUT_SECONDS)

    @property
    def invoked_function_arn(self) -> str:
        """Made up, in the form of a real one."""
        return f"arn:aws:lambda:us-east-1:123456789012:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda would end the invocation."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))


class Function:
    """As many execution environments as may work at once; an event waits until one is idle."""

    def __init__(self, settings: Mapping[str, str], concurrency: int) -> None:
        self._settings = dict(settings)
        self._environments = [_Environment(self._settings) for _ in range(concurrency)]
        self._idle: queue.Queue[_Environment] = queue.Queue()
        for environment in self._environments:
            self._idle.put(environment)

    def warm_up(self) -> None:
        """Return once every environment has loaded the function and its model; raises `FunctionError` if one can't."""
        health = {"httpMethod": "GET", "path": "/health", "requestContext": {"requestId": "warm-up"}}
        for environment in self._environments:
            environment.send(health)
        for environment in self._environments:
            environment.receive()

    def invoke(self, event: Any) -> Any:
        """The function's answer; raises `FunctionError` if it raised, took too long, or if its process died."""
        environment = self._idle.get()
        try:
            environment.send(event)
            return environment.receive()
        finally:
            self._idle.put(environment)

    def stop(self) -> None:
        """End each process once it is idle; events that come later wait for ever."""
        for _ in self._environments:
            self._idle.get().end()


class _Environment:
    """A process with its own interpreter, clients and model; started anew when it dies, as on Lambda."""

    def __init__(self, settings: dict[str, str]) -> None:
        self._settings = settings
        self._start()

    def send(self, event: Any) -> None:
        """Begin an invocation; a process that died meanwhile shows in `receive`."""
        with suppress(BrokenPipeError):
            self._connection.send(json.dumps(event))

    def receive(self) -> Any:
        """The invocation's answer."""
        if not self._connection.poll(_TIMEOUT_SECONDS):
            self._restart()
            raise FunctionError("Sandbox.Timedout", f"Task timed out after {_TIMEOUT_SECONDS} seconds")
        try:
            answer = json.loads(self._connection.recv())
        except (EOFError, ConnectionError):
            self._restart()
            raise FunctionError("Runtime.ExitError", "The function's process ended.") from None
        if "errorType" in answer:
            raise FunctionError(answer["errorType"], answer["errorMessage"])
        return answer["answer"]

    def end(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.join()
        self._connection.close()

    def _start(self) -> None:
        context = get_context("spawn")  # a fork would copy threads' locks
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, self._settings), daemon=True)
        self._process.start()
        theirs.close()  # so that the end of either process shows at the other's end

    def _restart(self) -> None:
        self.end()
        self._start()


def _work(connection: "Connection[str, str]", settings: dict[str, str]) -> None:
    """In the process: answer events until the local system ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends this one
    os.environ.update(settings)
    from classifier.app import lambda_handler  # noqa: PLC0415 - it reads its settings while it is imported

    with suppress(EOFError, BrokenPipeError):
        while True:
            event = json.loads(connection.recv())
            try:
                answer: dict[str, Any] = {"answer": lambda_handler(event, cast("LambdaContext", Context()))}
            except Exception as error:  # whatever it is, Lambda reports it
                answer = {"errorType": type(error).__name__, "errorMessage": str(error)}
            connection.send(json.dumps(answer))
