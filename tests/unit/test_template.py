"""The template against the code."""

import inspect
import re
from typing import Any

import pytest

from classifier import settings as settings_module
from classifier.photos import Limits
from classifier.uploads import PREFIX
from conftest import ROOT
from local.template import read_template

TEMPLATE = read_template()
RESOURCES = TEMPLATE["Resources"]
FUNCTION = RESOURCES["ClassifierFunction"]["Properties"]
VARIABLES = FUNCTION["Environment"]["Variables"]
SOURCES = {path.stem: path.read_text() for path in (ROOT / "functions" / "classifier").glob("*.py")}


def settings_in_code() -> set[str]:
    source = inspect.getsource(settings_module.Settings)
    return set(re.findall(r'(?:required|whole_number|environment\.get)\("([A-Z_]+)"', source))


def test_the_function_is_given_every_setting_and_no_other() -> None:
    """MODEL_DIR stands in the Dockerfile, which puts the model there; loopback URLs are for the local system alone."""
    own = {name for name in VARIABLES if not name.startswith("POWERTOOLS_")}

    assert own == settings_in_code() - {"MODEL_DIR", "ALLOW_LOOPBACK_URLS"}
    assert "ENV MODEL_DIR=" in (ROOT / "functions" / "classifier" / "Dockerfile").read_text()


def test_the_defaults_of_the_limits_are_the_code_s() -> None:
    parameters = TEMPLATE["Parameters"]
    default = Limits()

    assert parameters["MaxImageBytes"]["Default"] == default.file_bytes
    assert parameters["MaxImagePixels"]["Default"] == default.pixels
    assert parameters["MaxImageSide"]["Default"] == default.side


def allowed_actions() -> set[str]:
    actions = set()
    for policy in FUNCTION["Policies"]:
        for statement in policy["Statement"]:
            named = statement["Action"]
            actions |= set(named if isinstance(named, list) else [named])
    return actions


# What each call of the SDK needs. A presigned form is honoured if its signer may put objects; and without ListBucket,
# S3 answers 403 instead of 404 where there is no object.
ACTIONS_BY_CALL = {
    "get_object": {"s3:GetObject", "s3:ListBucket"},
    "head_object": {"s3:GetObject", "s3:ListBucket"},
    "generate_presigned_post": {"s3:PutObject"},
    "get_item": {"dynamodb:GetItem"},
    "put_item": {"dynamodb:PutItem"},
    "transact_write_items": {"dynamodb:PutItem"},
}


def test_the_function_may_do_what_its_code_calls_and_nothing_else() -> None:
    calls = set(re.findall(r"(?:s3|_client)\.([a-z_]+)\(", "\n".join(SOURCES.values())))

    assert calls == set(ACTIONS_BY_CALL)
    assert allowed_actions() == set().union(*ACTIONS_BY_CALL.values())
    assert not any("*" in action for action in allowed_actions())


def test_the_bucket_triggers_the_function_for_what_comes_and_what_goes() -> None:
    trigger = FUNCTION["Events"]["Uploads"]["Properties"]

    assert trigger["Bucket"] == {"Ref": "UploadsBucket"}
    assert set(trigger["Events"]) == {"s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"}
    assert trigger["Filter"]["S3Key"]["Rules"] == [{"Name": "prefix", "Value": PREFIX}]


def test_the_function_names_the_bucket_without_referring_to_it() -> None:
    """A reference would be a circle: the bucket's notification refers to the function."""

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            found = {str(inner) for name, inner in value.items() if name in {"Ref", "Fn::GetAtt"}}
            return found.union(*(references(inner) for inner in value.values()))
        if isinstance(value, list):
            return set().union(*(references(inner) for inner in value))
        return set()

    assert not any("UploadsBucket" in name for name in references([VARIABLES, FUNCTION["Policies"]]))
    assert VARIABLES["BUCKET_NAME"] == RESOURCES["UploadsBucket"]["Properties"]["BucketName"]


def test_failed_events_come_back_through_the_queue() -> None:
    destination = FUNCTION["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]
    source = FUNCTION["Events"]["Failures"]["Properties"]

    assert destination == {"Type": "SQS", "Destination": {"Fn::GetAtt": "FailureQueue.Arn"}}
    assert source["Queue"] == {"Fn::GetAtt": "FailureQueue.Arn"}
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert RESOURCES["FailureQueue"]["Properties"]["VisibilityTimeout"] >= 6 * FUNCTION["Timeout"]


def test_the_bucket_is_private_encrypted_and_tidied_up() -> None:
    bucket = RESOURCES["UploadsBucket"]["Properties"]

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]
    assert [rule["AllowedMethods"] for rule in bucket["CorsConfiguration"]["CorsRules"]] == [["POST"]]
    assert any(rule.get("Prefix") == PREFIX for rule in bucket["LifecycleConfiguration"]["Rules"])


def test_the_table_is_as_the_code_uses_it() -> None:
    table = RESOURCES["ClassificationsTable"]["Properties"]

    assert table["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["SSESpecification"]["SSEEnabled"]
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]


@pytest.mark.parametrize("resource", ["UploadsBucket", "ClassificationsTable"])
def test_what_holds_data_outlives_the_stack(resource: str) -> None:
    assert RESOURCES[resource]["DeletionPolicy"] == "Retain"
    assert RESOURCES[resource]["UpdateReplacePolicy"] == "Retain"


def test_the_gateway_s_own_refusals_have_the_form_of_the_function_s() -> None:
    for response in RESOURCES["Api"]["Properties"]["GatewayResponses"].values():
        body = response["ResponseTemplates"]["application/json"]
        assert re.fullmatch(
            r'\{"error": \{"code": "[a-z_]+", "message": (".+"|\$context\.error\.messageString)\}, '
            r'"request_id": "\$context\.requestId"\}',
            body,
        )


def test_every_setting_stands_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()

    assert [name for name in sorted(settings_in_code()) if f"`{name}`" not in readme] == []
