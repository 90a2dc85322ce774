"""The clients of AWS: few attempts, short timeouts, and made quickly.

They are made by botocore, on which boto3 is built. What boto3 adds, the function does not use, and its import makes
cold starts longer (benchmarks/README.md).
"""

from typing import Any

from botocore.config import Config
from botocore.loaders import Loader
from botocore.session import get_session

_SERVICES = ["dynamodb", "events", "s3"]

_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 1, 3, 3  # of each call to AWS
# A call whose attempts all hang. The pauses between its attempts take a second at most, in the mean.
MAX_CALL_SECONDS = _ATTEMPTS * _READ_SECONDS + 1


class _Loader(Loader):
    """Reads the descriptions of AWS's services, without looking through the folders of all of them for each client.

    So it does not find those of services that AWS_DATA_PATH would add.
    """

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - botocore's signature
        return _SERVICES


class Clients:
    """Makes clients, which share what botocore reads for them. Make one at a time: a session is for one thread."""

    def __init__(self) -> None:
        """Read nothing yet."""
        self._session = get_session()
        self._session.register_component("data_loader", _Loader())

    def make(self, service: str, config: Config | None = None) -> Any:
        """Return the client of a service. `config` is added to `client_config`."""
        common = client_config()
        return self._session.create_client(service, config=common.merge(config) if config else common)


def client_config() -> Config:
    """Return the configuration of all AWS clients.

    Lambda and the queue retry too, and API Gateway gives up after 29 seconds. The retry mode is not "adaptive": after
    the first throttled request, that mode limits a client to twice its recent request rate. An execution environment
    with one photo a minute would then wait 2 seconds for each photo, until its end (tests/stress/test_faults.py).
    """
    return Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
    )
