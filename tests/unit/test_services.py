"""The services: how AWS clients are configured, and when the parts are made."""

import os
from dataclasses import replace
from typing import Any

import pytest

from classifier.clients import Clients, client_config
from classifier.services import Services
from local.aws import Resources
from tests.support.services import replace_parts

GATEWAY_TIMEOUT = 29  # seconds; API Gateway's limit


@pytest.fixture
def new_services(aws: Resources) -> Services:
    """Services without any part yet."""
    return Services.from_environment(os.environ)


@pytest.mark.parametrize("part", ["bucket", "records"])
def test_a_client_makes_three_short_tries(new_services: Services, part: str) -> None:
    """If all of them hang, another call fits into API Gateway's limit."""
    config: Any = getattr(new_services, part).client.meta.config

    assert (config.connect_timeout, config.read_timeout) == (1, 3)
    assert config.retries["mode"] == "standard"
    assert config.retries["total_max_attempts"] == 3
    assert 2 * 3 * (config.connect_timeout + config.read_timeout) < GATEWAY_TIMEOUT


def test_the_client_of_eventbridge_has_the_same_configuration(new_services: Services) -> None:
    config: Any = new_services.eventbridge.meta.config

    assert (config.connect_timeout, config.read_timeout) == (1, 3)
    expected: Any = client_config()
    assert config.retries == expected.retries


@pytest.mark.parametrize(("endpoint", "style"), [(None, "virtual"), ("http://127.0.0.1:5000", "path")])
def test_urls_have_the_bucket_in_the_host_name_except_beside_an_emulator(endpoint: str | None, style: str) -> None:
    environment = dict(os.environ) | ({"AWS_ENDPOINT_URL": endpoint} if endpoint else {})
    config: Any = Services.from_environment(environment).bucket.client.meta.config

    assert config.s3 == {"addressing_style": style}
    assert config.signature_version == "s3v4"


@pytest.mark.parametrize(("bus", "clients"), [(None, {"s3", "dynamodb"}), ("default", {"s3", "dynamodb", "events"})])
def test_the_warm_up_makes_the_clients_and_the_model_once(
    new_services: Services, monkeypatch: pytest.MonkeyPatch, bus: str | None, clients: set[str]
) -> None:
    made: list[str] = []
    make = Clients.make

    def make_client(self: Clients, service: str, *options: Any) -> Any:
        made.append(service)
        return make(self, service, *options)

    monkeypatch.setattr(Clients, "make", make_client)
    services = replace_parts(new_services, settings=replace(new_services.settings, event_bus=bus))

    services.warm_up()
    model = services.model
    services.warm_up()

    assert set(made) == clients
    assert len(made) == len(clients)
    assert services.model is model
