"""The function and its HTTP API, called as AWS calls them."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from classifier.app import dispatch
from classifier.services import Services
from local.function import Context
from tests.support.events import api_event

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


def handle(event: Any, services: Services) -> Any:
    """Return the function's answer to the event."""
    return dispatch(event, cast("LambdaContext", Context()), services)


@dataclass(frozen=True)
class Answer:
    """What the API answered."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Api:
    """The HTTP API, called as API Gateway calls it."""

    services: Services

    def request(self, method: str, path: str, content: Any = None, **options: Any) -> Answer:
        """Send a request with the options of `api_event`."""
        answer = handle(api_event(method, path, content, **options), self.services)
        return Answer(
            answer["statusCode"],
            {name.lower(): values[0] for name, values in answer["multiValueHeaders"].items()},
            answer["body"],
        )
