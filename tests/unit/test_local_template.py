"""The local system has the values of the template."""

from typing import Any

from local.aws import Resources
from local.function import Context
from local.template import function_settings, read_template, resource_properties


def attributes(resources: Resources, url: str) -> Any:
    return resources.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


def test_the_function_has_the_settings_of_the_template() -> None:
    settings = function_settings()

    assert settings.timeout_seconds == resource_properties("ClassifierFunction")["Timeout"] == 60
    assert settings.memory_mb == read_template()["Parameters"]["MemorySize"]["Default"] == 1769
    assert settings.tries == 3
    assert settings.batch_size == 10


def test_lambda_s_context_has_the_settings_of_the_template() -> None:
    context = Context()

    assert context.memory_limit_in_mb == 1769
    assert 59_000 < context.get_remaining_time_in_millis() <= 60_000


def test_the_queues_have_the_settings_of_the_template(aws: Resources) -> None:
    queue = resource_properties("FailureQueue")

    failures = attributes(aws, aws.failures_url)
    assert failures["VisibilityTimeout"] == str(queue["VisibilityTimeout"])
    assert failures["MessageRetentionPeriod"] == str(queue["MessageRetentionPeriod"])
    assert f'"maxReceiveCount": {queue["RedrivePolicy"]["maxReceiveCount"]}' in failures["RedrivePolicy"]
    assert attributes(aws, aws.uploads_url)["VisibilityTimeout"] == str(queue["VisibilityTimeout"])
