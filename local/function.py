"""Runs the Lambda function as AWS does: in processes of their own, each with one event at a time."""

import json
import logging
import os
import signal
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

_MEMORY_MB = 1769  # what buys one vCPU on Lambda
_TIMEOUT_SECONDS = 60

logger = logging.getLogger(__name__)


class FunctionError(Exception):
    """The function raised; the arguments are the error's type and message, as Lambda reports them."""


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
    """A pool of execution environments, each of them a process with its own interpreter and model."""

    def __init__(self, environment: Mapping[str, str], concurrency: int) -> None:
        self._environment = dict(environment)
        self._concurrency = concurrency
        self._lock = threading.Lock()
        self._pool = self._start()

    def warm_up(self) -> None:
        """Return once every environment has loaded the function and its model."""
        for ready in [self._pool.submit(_warm_up) for _ in range(self._concurrency)]:
            ready.result()

    def invoke(self, event: Any) -> Any:
        """The function's answer; raises `FunctionError` if it raised, or if its process died."""
        pool = self._pool
        try:
            answer = json.loads(pool.submit(_invoke, json.dumps(event)).result())
        except BrokenProcessPool:
            logger.error("An execution environment died; starting others.")  # noqa: TRY400 - its trace says no more
            self._replace(pool)
            raise FunctionError("Runtime.ExitError", "The function's process ended.") from None
        if "errorType" in answer:
            raise FunctionError(answer["errorType"], answer["errorMessage"])
        return answer["answer"]

    def stop(self) -> None:
        """End the processes; events that they still hold are given up."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _replace(self, broken: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is broken:
                self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._concurrency,
            mp_context=get_context("spawn"),
            initializer=_initialise,
            initargs=(self._environment, os.getpid()),
        )


def _initialise(environment: dict[str, str], parent: int) -> None:
    """Set a worker up: its settings, and that it ends with the local system, however that ends."""
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends the workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _warm_up() -> None:
    _invoke(json.dumps({"httpMethod": "GET", "path": "/health", "requestContext": {"requestId": "warm-up"}}))
    time.sleep(0.1)  # so that one worker does not take the warm-up of another


def _invoke(event: str) -> str:
    """In a worker: the answer or the error as JSON, as Lambda's runtime sends them."""
    from classifier.app import lambda_handler  # noqa: PLC0415 - only here are the function's settings in place

    try:
        return json.dumps({"answer": lambda_handler(json.loads(event), Context())})
    except Exception as error:  # whatever it is, Lambda reports it
        return json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)})
