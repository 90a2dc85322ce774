"""What a fresh interpreter does until its first answer.

    python -m benchmarks.start KIND ARGUMENTS

Each kind imports what it needs and nothing else, so all imports are inside of them.
"""
# ruff: noqa: PLC0415

import base64
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_MODEL = Path(os.environ["MODEL_DIR"]) / "clothing.tflite"


def bare(photo: Path) -> None:
    """The least: the libraries, one decoding, one invocation of the network."""
    import io

    import botocore.session  # noqa: F401
    import numpy as np
    from PIL import Image

    from classifier.runtime import Interpreter

    interpreter = Interpreter(model_path=str(_MODEL), num_threads=1)
    interpreter.allocate_tensors()
    (taken,) = interpreter.get_input_details()
    side = taken["shape"][1]
    image = Image.open(io.BytesIO(photo.read_bytes()))
    image.draft("RGB", (side, side))
    interpreter.set_tensor(taken["index"], np.asarray(image.convert("RGB").resize((side, side)))[np.newaxis])
    interpreter.invoke()


def tutorial(network: Path, url: str) -> None:
    """A tutorial's handler, which needs no AWS."""
    from urllib.request import urlopen

    import numpy as np  # noqa: F401
    from PIL import Image  # noqa: F401

    from benchmarks.ways import Tutorial

    with urlopen(url) as answer:  # noqa: S310 - our own
        Tutorial(network)(answer.read())


def direct(url: str) -> None:
    """Our function, asked as the tutorials' clients do."""
    _invoke({"url": url})


def predict(photo: Path) -> None:
    """Our function, with a photo in a request."""
    body = base64.b64encode(photo.read_bytes()).decode()
    _invoke(_request("POST", "/predict", {"Content-Type": "image/jpeg"}, body))


def status(identifier: str) -> None:
    """Our function, asked for a record."""
    _invoke(_request("GET", f"/classifications/{identifier}", {}, None))


def upload(key: str) -> None:
    """Our function, told of an object in the bucket."""
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
    from local.function import Context

    answer: Any = lambda_handler(event, cast("LambdaContext", Context()))
    if answer.get("statusCode", 200) != 200:  # noqa: PLR2004
        raise RuntimeError(json.dumps(answer))


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    match kind:
        case "bare" | "predict":
            globals()[kind](Path(rest[0]))
        case "tutorial":
            tutorial(Path(rest[0]), rest[1])
        case _:
            globals()[kind](rest[0])
    print("answered")
