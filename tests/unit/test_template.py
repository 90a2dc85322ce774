"""The template against the code."""

import inspect
import json
import re
import shlex
import tomllib
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from classifier import settings as settings_module
from classifier.limits import Limits
from classifier.uploads import PREFIX
from conftest import ROOT
from local.aws import BUCKET, TABLE
from local.template import read_template

TEMPLATE = read_template()
RESOURCES = TEMPLATE["Resources"]
FUNCTION = RESOURCES["ClassifierFunction"]["Properties"]
VARIABLES = FUNCTION["Environment"]["Variables"]
SOURCES = {path.stem: path.read_text() for path in (ROOT / "functions" / "classifier").glob("*.py")}


def settings_in_code() -> set[str]:
    source = inspect.getsource(settings_module.Settings)
    return set(re.findall(r'(?:reader\.[a-z_]+|environment\.get)\("([A-Z_]+)"', source))


def test_the_function_is_given_every_setting_and_no_other() -> None:
    """MODEL_DIR stands in the Dockerfile, which puts the model there; loopback URLs are for the local system alone."""
    own = {name for name in VARIABLES if not name.startswith(("POWERTOOLS_", "AWS_"))}

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
    "query": {"dynamodb:Query"},
    "put_events": {"events:PutEvents"},
    "transact_write_items": {"dynamodb:PutItem"},
}


def test_the_function_may_do_what_its_code_calls_and_nothing_else() -> None:
    calls = set(re.findall(r"(?:s3|_client|services\.events)\.([a-z_]+)\(", "\n".join(SOURCES.values())))

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


def test_the_bucket_is_spoken_to_over_tls_alone() -> None:
    (statement,) = (
        statement
        for statement in RESOURCES["UploadsBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        if "Bool" in statement.get("Condition", {})
    )

    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"]["Bool"] == {"aws:SecureTransport": "false"}


def test_the_api_asks_for_keys_and_is_throttled() -> None:
    """But for its health, which load balancers and alarms ask for, and for the pages, which browsers open."""
    api = RESOURCES["Api"]["Properties"]
    routes = {name: event["Properties"] for name, event in FUNCTION["Events"].items() if event["Type"] == "Api"}

    assert api["Auth"]["ApiKeyRequired"]
    assert [route["Path"] for route in routes.values() if "Auth" in route] == [
        "/health",
        "/",
        "/docs",
        "/openapi.json",
    ]
    assert api["Auth"]["UsagePlan"]["Throttle"]["RateLimit"] == {"Ref": "RequestsPerSecond"}
    assert api["MethodSettings"][0]["ThrottlingRateLimit"] == {"Ref": "RequestsPerSecond"}


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


def test_a_new_version_takes_over_by_and_by_and_is_rolled_back_on_alarms() -> None:
    assert FUNCTION["AutoPublishAlias"] == "live"
    assert FUNCTION["AutoPublishAliasAllProperties"] is True
    assert FUNCTION["DeploymentPreference"]["Type"] == {"Ref": "DeploymentPreference"}
    for alarm in FUNCTION["DeploymentPreference"]["Alarms"]:
        assert "live" in json.dumps(RESOURCES[alarm["Ref"]]), "a canary is watched through the alias"


def alarms() -> dict[str, Any]:
    return {
        name: resource["Properties"]
        for name, resource in RESOURCES.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def test_every_alarm_is_announced_shown_and_explained() -> None:
    dashboard = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    operations = (ROOT / "docs" / "operations.md").read_text()

    assert len(alarms()) == 11
    for name, alarm in alarms().items():
        assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}]
        assert alarm["TreatMissingData"] == "notBreaching", "at night nobody uploads"
        assert "docs/operations.md" in alarm["AlarmDescription"]
        assert f"${{{name}.Arn}}" in dashboard
        assert f"### {name}\n" in operations


def metrics_of(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    parts = [part["MetricStat"]["Metric"] for part in alarm.get("Metrics", []) if "MetricStat" in part]
    return parts or [alarm]


def test_alarms_on_photos_watch_what_the_function_measures() -> None:
    """Under the service's name that the template gives it, which is the stack's."""
    measured = {"PhotosFailed", "PhotosForReview", "Failed"}
    code = SOURCES["telemetry"]
    watched = [
        metric
        for alarm in alarms().values()
        for metric in metrics_of(alarm)
        if metric["Namespace"] == "ClothesClassifier"
    ]

    assert '_NAMESPACE = "ClothesClassifier"' in code
    assert {metric["MetricName"] for metric in watched} == measured
    assert all(f'"{name}"' in code for name in measured)
    assert VARIABLES["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}
    for metric in watched:
        assert {"Name": "service", "Value": {"Ref": "AWS::StackName"}} in metric["Dimensions"]


def test_the_dashboard_is_json_and_shows_the_metrics_of_the_code() -> None:
    body = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    stages = set(re.findall(r'\.stage\("([a-z]+)"\)', "\n".join(SOURCES.values())))

    assert json.loads(body)["widgets"]
    assert stages == {"fetch", "decode", "infer", "store"}
    assert all(f'"{stage.capitalize()}Time"' in body for stage in stages)


def test_every_parameter_is_described_grouped_and_bounded() -> None:
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]

    assert sorted(grouped) == sorted(TEMPLATE["Parameters"])
    for name, parameter in TEMPLATE["Parameters"].items():
        assert "Default" in parameter, f"{name}: a stack is deployed without answering questions"
        bounds = {"AllowedPattern", "AllowedValues", "MinValue"} & set(parameter)
        assert bounds or parameter["Type"] == "CommaDelimitedList", name
        assert "Description" in parameter or "AllowedValues" in parameter, name


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        ("ReviewThreshold", ["", "0", "0.85", "1", "1.0"], ["high", "1.1", "-0.1", "85%", "."]),
        ("DomainName", ["", "photos.shop.example"], ["https://photos.shop.example", "shop", "a b.example"]),
        ("CertificateArn", ["", "arn:aws:acm:eu-west-1:123456789012:certificate/1"], ["certificate/1"]),
        (
            "WebAclArn",
            ["", "arn:aws:wafv2:eu-west-1:1:regional/webacl/a/b"],
            ["arn:aws:wafv2:us-east-1:1:global/webacl/a/b"],
        ),
        ("AlarmEmail", ["", "a@shop.example"], ["nobody", "a@b@c"]),
        ("StageName", ["prod", "v1_2"], ["", "a/b"]),
    ],
)
def test_patterns_admit_what_is_meant(parameter: str, good: list[str], bad: list[str]) -> None:
    pattern = re.compile(TEMPLATE["Parameters"][parameter]["AllowedPattern"])

    assert [value for value in good if not pattern.search(value)] == []
    assert [value for value in bad if pattern.search(value)] == []


def test_logs_are_kept_for_as_long_as_the_operator_says() -> None:
    groups = {name for name, resource in RESOURCES.items() if resource["Type"] == "AWS::Logs::LogGroup"}

    assert FUNCTION["LoggingConfig"] == {"LogGroup": {"Ref": "FunctionLogs"}}
    assert RESOURCES["Api"]["Properties"]["AccessLogSetting"]["DestinationArn"] == {"Fn::GetAtt": "ApiLogs.Arn"}
    assert groups == {"FunctionLogs", "ApiLogs"}
    for name in groups:
        assert RESOURCES[name]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert json.loads(RESOURCES["Api"]["Properties"]["AccessLogSetting"]["Format"])


def test_a_batch_job_may_call_the_live_function_and_touch_no_photo() -> None:
    (policy,) = RESOURCES["BatchOperationsRole"]["Properties"]["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    (invocation,) = [statement for statement in statements if statement["Action"] == "lambda:InvokeFunction"]

    assert invocation["Resource"] == {"Ref": "ClassifierFunction.Alias"}
    for statement in statements:
        assert PREFIX not in json.dumps(statement["Resource"])


def test_failed_events_wait_longer_than_they_were_tried() -> None:
    """So that somebody can mend what they failed by."""
    age = FUNCTION["EventInvokeConfig"]["MaximumEventAgeInSeconds"]

    assert RESOURCES["FailureQueue"]["Properties"]["MessageRetentionPeriod"] > age


def test_every_environment_of_samconfig_names_parameters_that_there_are() -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())

    assert {"default", "staging", "prod"} < set(config)
    for environment in ("default", "staging", "prod"):
        deploy = config[environment]["deploy"]["parameters"]
        named = {override.partition("=")[0] for override in deploy["parameter_overrides"]}
        assert named <= set(TEMPLATE["Parameters"])
        assert deploy["capabilities"] == "CAPABILITY_IAM"
        assert any(tag.startswith("environment=") for tag in deploy["tags"])


def test_sam_local_points_the_function_at_the_local_system() -> None:
    """Only variables that the template declares reach the container."""
    (variables,) = json.loads((ROOT / "local" / "sam-environment.json").read_text()).values()

    assert set(variables) <= set(VARIABLES)
    assert variables == {
        "AWS_ENDPOINT_URL": "http://host.docker.internal:5000",
        "BUCKET_NAME": BUCKET,
        "TABLE_NAME": TABLE,
        "CURSOR_KEY": "local",
    }


def test_the_documented_batch_job_is_one_that_s3_takes() -> None:
    """`aws s3control create-job` as docs/operations.md has it, held against the SDK's own description of the call."""
    text = (ROOT / "docs" / "operations.md").read_text()
    command = re.search(r"aws s3control (create-job .+?)\n```", text, re.DOTALL)
    assert command
    filled = re.sub(r"'\$\w+'|\$\w+", "filled-in", command[1].replace("\\\n", " "))
    options = iter(shlex.split(filled)[1:])
    arguments: dict[str, Any] = {"ClientRequestToken": "one"}
    for option in options:
        if not option.startswith("--no-"):
            name = "".join(part.capitalize() for part in option.removeprefix("--").split("-"))
            value = next(options)
            arguments[name] = json.loads(value) if value[0] in "{0123456789" else value
    shape = botocore.session.get_session().get_service_model("s3control").operation_model("CreateJob").input_shape
    assert shape

    report = ParamValidator().validate(arguments, shape)

    assert not report.has_errors(), report.generate_report()
    assert arguments["Operation"]["LambdaInvoke"]["InvocationSchemaVersion"] == "2.0"
    assert arguments["ManifestGenerator"]["S3JobManifestGenerator"]["Filter"]["KeyNameConstraint"] == {
        "MatchAnyPrefix": [PREFIX]
    }


def test_every_setting_stands_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()

    assert [name for name in sorted(settings_in_code()) if f"`{name}`" not in readme] == []
