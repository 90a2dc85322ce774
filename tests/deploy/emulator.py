"""Starts the emulator of AWS, ministack, on the port in GATEWAY_PORT. Runs in the emulator's own environment.

Its registry of images is at its own address, but it tells the names of AWS's registry, which Docker cannot reach here.
"""

import json
import os
import sys
from typing import Any

from ministack.app import main
from ministack.services import ecr

_REGISTRY = f"localhost:{os.environ['GATEWAY_PORT']}"
# There is no setting for its own address.
_get_token = ecr._get_authorization_token  # noqa: SLF001


def _repository_uri(name: str) -> str:
    return f"{_REGISTRY}/{name}"


def _get_token_for_this_registry(data: Any) -> tuple[Any, Any, bytes]:
    status, headers, body = _get_token(data)
    content = json.loads(body)
    content["authorizationData"][0]["proxyEndpoint"] = f"http://{_REGISTRY}"
    return status, headers, json.dumps(content).encode()


ecr._repo_uri = _repository_uri  # noqa: SLF001
ecr._get_authorization_token = _get_token_for_this_registry  # noqa: SLF001
sys.argv = ["ministack"]
main()
