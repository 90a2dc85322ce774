"""Run one cold start: in a fresh interpreter, import what an event needs, and answer it.

    python -m benchmarks.start KIND ARGUMENTS

Each kind imports only what it needs, so all imports are inside the functions.
"""
# ruff: noqa: PLC0415

import base64
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_MODEL = Path(os.environ["MODEL_DIR"]) / "clothing.tflite"


def bare(photo: Path) -> None:
    """Import the libraries with the AWS SDK, decode one photo, and invoke the network once."""
    import botocore.session  # noqa: F401

    bare_without_sdk(photo)


def bare_without_sdk(photo: Path) -> None:
    """Import the libraries without the AWS SDK, decode one photo, and invoke the network once."""
    import io

    import numpy as np
    from PIL import Image

    from classifier.runtime import Interpreter

    interpreter = Interpreter(model_path=str(_MODEL), num_threads=1)
    interpreter.allocate_tensors()
    (input_details,) = interpreter.get_input_details()
    side = input_details["shape"][1]
    image = Image.open(io.BytesIO(photo.read_bytes()))
    image.draft("RGB", (side, side))
    interpreter.set_tensor(input_details["index"], np.asarray(image.convert("RGB").resize((side, side)))[np.newaxis])
    interpreter.invoke()


def tutorial(network: Path, url: str) -> None:
    """Run a tutorial's handler, which needs no AWS."""
    from urllib.request import urlopen

    import numpy as np  # noqa: F401
    from PIL import Image  # noqa: F401

    from benchmarks.contenders import Tutorial

    with urlopen(url) as response:  # noqa: S310 - the benchmark's own server
        Tutorial(network)(response.read())


def direct(url: str) -> None:
    """Invoke this project's function directly, as the tutorials' clients do."""
    _invoke({"url": url})


def predict(photo: Path) -> None:
    """Invoke this project's function with a photo in an HTTP request."""
    body = base64.b64encode(photo.read_bytes()).decode()
    _invoke(_request("POST", "/predict", {"Content-Type": "image/jpeg"}, body))


def status(identifier: str) -> None:
    """Invoke this project's function with an HTTP request for a classification."""
    _invoke(_request("GET", f"/classifications/{identifier}", {}, None))


def upload(key: str) -> None:
    """Invoke this project's function with an S3 event."""
    _invoke({"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": "photos"}, "object": {"key": key}}}]})


def _request(method: str, path: str, headers: dict[str, str], body: str | None) -> dict[str, Any]:
    return {
        "httpMethod": method,
        "path": path,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {"path": path, "requestId": "1", "stage": "prod"},
        "body": body,
        "isBase64Encoded": body is not None,
    }


def _invoke(event: dict[str, Any]) -> None:
    from classifier.app import lambda_handler

    # Not the local system's context: its imports would add to the measured time.
    context = SimpleNamespace(
        function_name="classifier",
        memory_limit_in_mb=1769,
        aws_request_id="1",
        invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:classifier",
        get_remaining_time_in_millis=lambda: 60_000,
    )
    answer: Any = lambda_handler(event, cast("LambdaContext", context))
    if answer.get("statusCode", 200) != 200:  # noqa: PLR2004
        raise RuntimeError(json.dumps(answer))


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    match kind:
        case "bare" | "bare_without_sdk" | "predict":
            globals()[kind](Path(arguments[0]))
        case "tutorial":
            tutorial(Path(arguments[0]), arguments[1])
        case _:
            globals()[kind](arguments[0])
    print("answered", flush=True)
    os._exit(0)  # without the interpreter's own end, which Lambda does not wait for
