"""The template and `samconfig.toml` match the code and the docs."""

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
from classifier.keys import UPLOAD_PREFIX
from classifier.limits import Limits
from local.aws import BUCKET, TABLE
from local.template import read_template
from tests.support.paths import ROOT

TEMPLATE = read_template()
RESOURCES = TEMPLATE["Resources"]
FUNCTION = RESOURCES["ClassifierFunction"]["Properties"]
VARIABLES = FUNCTION["Environment"]["Variables"]
SOURCES = {path.stem: path.read_text() for path in (ROOT / "functions" / "classifier").glob("*.py")}


def settings_in_code() -> set[str]:
    """Return the names of the project's own variables. Lambda and the SDK have those that begin with `AWS_`."""
    source = inspect.getsource(settings_module.Settings)
    names = re.findall(r'(?:reader\.[a-z_]+|environment\.get)\("([A-Z_]+)"', source)
    return {name for name in names if not name.startswith("AWS_")}


def test_the_function_gets_every_setting_and_no_other() -> None:
    """The Dockerfile sets MODEL_DIR, and only the local system sets ALLOW_LOOPBACK_URLS."""
    settings = {name for name in VARIABLES if not name.startswith(("POWERTOOLS_", "AWS_"))}

    assert settings == settings_in_code() - {"MODEL_DIR", "ALLOW_LOOPBACK_URLS"}
    assert "ENV MODEL_DIR=" in (ROOT / "functions" / "classifier" / "Dockerfile").read_text()


def test_the_gateways_own_answers_have_the_headers_of_the_functions() -> None:
    responses = TEMPLATE["Resources"]["Api"]["Properties"]["GatewayResponses"]

    for name, response in responses.items():
        headers = response["ResponseParameters"]["Headers"]
        assert headers.items() >= {"Cache-Control": "'no-store'", "X-Content-Type-Options": "'nosniff'"}.items()
        assert ("Retry-After" in headers) == (name in {"DEFAULT_5XX", "THROTTLED", "QUOTA_EXCEEDED"})


def test_the_default_limits_match_the_code() -> None:
    parameters = TEMPLATE["Parameters"]
    default = Limits()

    assert parameters["MaxImageBytes"]["Default"] == default.file_bytes
    assert parameters["MaxImagePixels"]["Default"] == default.pixels
    assert parameters["MaxImageSide"]["Default"] == default.side


def test_the_bucket_triggers_the_function_on_creation_and_removal() -> None:
    triggers = RESOURCES["UploadsBucket"]["Properties"]["NotificationConfiguration"]["LambdaConfigurations"]

    assert {trigger["Event"] for trigger in triggers} == {
        "s3:ObjectCreated:*",
        "s3:ObjectRemoved:*",
        "s3:LifecycleExpiration:*",
    }
    for trigger in triggers:
        assert trigger["Function"] == {"Ref": "ClassifierFunction.Alias"}
        assert trigger["Filter"]["S3Key"]["Rules"] == [{"Name": "prefix", "Value": UPLOAD_PREFIX}]


def test_the_function_names_the_bucket_without_referring_to_it() -> None:
    """A reference would be a circular dependency, because the bucket's notification refers to the function."""

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            found = {str(inner) for name, inner in value.items() if name in {"Ref", "Fn::GetAtt"}}
            return found.union(*(references(inner) for inner in value.values()))
        if isinstance(value, list):
            return set().union(*(references(inner) for inner in value))
        return set()

    role = RESOURCES["ClassifierFunctionRole"]["Properties"]
    assert not any("UploadsBucket" in name for name in references([VARIABLES, role]))
    assert VARIABLES["BUCKET_NAME"] == RESOURCES["UploadsBucket"]["Properties"]["BucketName"]


def test_failed_events_return_through_the_queue() -> None:
    destination = FUNCTION["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]
    source = RESOURCES["ClassifierFunctionFailures"]["Properties"]

    assert destination == {"Type": "SQS", "Destination": {"Fn::GetAtt": "FailureQueue.Arn"}}
    assert source["EventSourceArn"] == {"Fn::GetAtt": "FailureQueue.Arn"}
    assert source["FunctionName"] == {"Ref": "ClassifierFunction.Alias"}
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert RESOURCES["FailureQueue"]["Properties"]["VisibilityTimeout"] >= 6 * FUNCTION["Timeout"]


def test_the_bucket_is_private_and_encrypted_and_deletes_old_photos() -> None:
    bucket = RESOURCES["UploadsBucket"]["Properties"]

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]
    assert [rule["AllowedMethods"] for rule in bucket["CorsConfiguration"]["CorsRules"]] == [["POST"]]
    assert any(rule.get("Prefix") == UPLOAD_PREFIX for rule in bucket["LifecycleConfiguration"]["Rules"])


def test_the_bucket_requires_tls() -> None:
    (statement,) = (
        statement
        for statement in RESOURCES["UploadsBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        if "Bool" in statement.get("Condition", {})
    )

    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"]["Bool"] == {"aws:SecureTransport": "false"}


def test_the_api_requires_keys_and_throttles_requests() -> None:
    """The health check, which load balancers and alarms call, and the pages, which browsers open, need no key.

    Neither do the requests of sellers, who have a token, and the question of browsers what a page may send.
    """
    api = RESOURCES["Api"]["Properties"]
    routes = {name: event["Properties"] for name, event in FUNCTION["Events"].items() if event["Type"] == "Api"}

    assert api["Auth"]["ApiKeyRequired"]
    assert [(route["Path"], route["Method"]) for route in routes.values() if "Auth" in route] == [
        *((path, "ANY") for path in ("/health", "/", "/desk", "/docs", "/openapi.json", "/listings/{proxy+}")),
        ("/{proxy+}", "OPTIONS"),
    ]
    assert api["Auth"]["UsagePlan"]["Throttle"]["RateLimit"] == {"Ref": "RequestsPerSecond"}
    assert api["MethodSettings"][0]["ThrottlingRateLimit"] == {"Ref": "RequestsPerSecond"}


def test_the_table_matches_the_code() -> None:
    table = RESOURCES["ClassificationsTable"]["Properties"]

    assert table["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert "SSESpecification" not in table, "it would choose a key of KMS, which costs money for each request"
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]


def test_the_role_of_the_gateway_s_logs_stays_whatever_happens() -> None:
    """Other APIs use it, even if the first deployment of this stack fails. Its name is never taken."""
    assert RESOURCES["ApiGatewayLogsRole"]["DeletionPolicy"] == "Retain"
    assert RESOURCES["ApiGatewayLogsRole"]["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("resource", ["UploadsBucket", "ClassificationsTable"])
def test_resources_with_data_are_retained_when_the_stack_is_deleted_but_not_if_its_creation_fails(
    resource: str,
) -> None:
    """Otherwise their names would be taken when the deployment is tried again."""
    assert RESOURCES[resource]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert RESOURCES[resource]["UpdateReplacePolicy"] == "Retain"


def test_errors_of_the_gateway_have_the_same_form_as_errors_of_the_function() -> None:
    for response in RESOURCES["Api"]["Properties"]["GatewayResponses"].values():
        body = response["ResponseTemplates"]["application/json"]
        assert re.fullmatch(
            r'\{"error": \{"code": "[a-z_]+", "message": (".+"|\$context\.error\.messageString)\}, '
            r'"request_id": "\$context\.requestId"\}',
            body,
        )


def test_deployments_shift_traffic_gradually_and_roll_back_on_alarms() -> None:
    assert FUNCTION["AutoPublishAlias"] == "live"
    assert FUNCTION["AutoPublishAliasAllProperties"] is True
    assert FUNCTION["DeploymentPreference"]["Type"] == {"Ref": "DeploymentPreference"}
    (alarm,) = FUNCTION["DeploymentPreference"]["Alarms"]
    for metric in metrics_of(RESOURCES[alarm["Ref"]]["Properties"]):
        assert {"Name": "ExecutedVersion", "Value": {"Fn::GetAtt": "ClassifierFunction.Version.Version"}} in (
            metric["Dimensions"]
        ), "the older version has nine tenths of the traffic"


def test_the_age_of_failed_events_alarms_before_sqs_stops_to_count_them() -> None:
    """SQS leaves a message out of this metric after it was received three times."""
    visibility = RESOURCES["FailureQueue"]["Properties"]["VisibilityTimeout"]

    assert RESOURCES["FailureQueueAgeAlarm"]["Properties"]["Threshold"] < 2 * visibility


def alarms() -> dict[str, Any]:
    return {
        name: resource["Properties"]
        for name, resource in RESOURCES.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def test_every_alarm_has_a_place_on_the_dashboard_and_documentation() -> None:
    dashboard = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    operations = (ROOT / "docs" / "operations.md").read_text()

    assert len(alarms()) == 14
    for name, alarm in alarms().items():
        assert alarm["TreatMissingData"] == "notBreaching", "hours without uploads are normal"
        assert "docs/oncall.md" in alarm["AlarmDescription"]
        assert f"${{{name}.Arn}}" in dashboard
        assert f"### {name}\n" in operations


def test_every_alarm_has_one_severity_which_the_pages_say() -> None:
    """The topic is the severity: one for pages, one for tickets."""
    on_call = (ROOT / "docs" / "oncall.md").read_text()
    operations = (ROOT / "docs" / "operations.md").read_text()
    severities = {"AlarmTopic": "page", "TicketTopic": "ticket"}

    for name, alarm in alarms().items():
        (action,) = alarm["AlarmActions"]
        severity = severities[action["Ref"]]
        assert alarm["OKActions"] == [action]
        assert alarm["AlarmDescription"].startswith(f"{severity.title()}: ")
        assert f"| [{name}](operations.md#{name.lower()}) | {severity} |" in on_call
        assert f"### {name}\n{severity.title()}. " in operations
    assert on_call.count("(operations.md#") >= len(alarms())


def test_the_gateway_s_throttled_requests_are_counted_for_this_stack() -> None:
    """API Gateway has no metric for them. The metric filter reads the access log."""
    filter_ = RESOURCES["ApiThrottles"]["Properties"]
    (metric,) = filter_["MetricTransformations"]
    log_line = json.loads(access_log_format())

    assert filter_["LogGroupName"] == {"Ref": "ApiLogs"}
    assert filter_["FilterPattern"] == '{ $.status = "429" && $.api_key != "-" }', "not those of strangers"
    assert (log_line["status"], log_line["api_key"]) == ("$context.status", "$context.identity.apiKeyId")
    assert metric["Dimensions"] == [{"Key": "service", "Value": "$.service"}]
    assert log_line["service"] == "${AWS::StackName}"
    assert log_line["error_type"] == "$context.error.responseType"


def access_log_format() -> str:
    return str(RESOURCES["Api"]["Properties"]["AccessLogSetting"]["Format"]["Fn::Sub"])


def test_the_function_is_invoked_each_day_so_that_lambda_keeps_it_active() -> None:
    """With a request that the function answers."""
    schedule = FUNCTION["Events"]["StayActive"]["Properties"]
    event = json.loads(schedule["Input"])

    assert schedule["Schedule"] == "rate(1 day)"
    assert (event["httpMethod"], event["path"]) == ("GET", "/health")


def metrics_of(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    parts = [part["MetricStat"]["Metric"] for part in alarm.get("Metrics", []) if "MetricStat" in part]
    return parts or [alarm]


def test_alarms_on_photos_watch_metrics_that_the_function_emits() -> None:
    """The metrics' service name is the stack's name, which the template sets."""
    emitted = {"PhotosFailed", "PhotosForReview", "SellersAgreed", "Failed"}
    code = SOURCES["telemetry"]
    watched = [
        metric
        for alarm in alarms().values()
        for metric in metrics_of(alarm)
        if metric["Namespace"] == "ClothesClassifier"
    ]

    assert '_NAMESPACE = "ClothesClassifier"' in code
    assert {metric["MetricName"] for metric in watched} == emitted | {"ThrottledRequests"}
    assert all(f'"{name}"' in code for name in emitted)
    assert VARIABLES["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}
    for metric in watched:
        assert {"Name": "service", "Value": {"Ref": "AWS::StackName"}} in metric["Dimensions"]


def test_the_dashboard_is_json_and_shows_the_metric_of_each_stage() -> None:
    body = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    stages = set(re.findall(r'\.stage\("([a-z]+)"\)', "\n".join(SOURCES.values())))

    assert json.loads(body)["widgets"]
    assert stages == {"fetch", "decode", "infer", "store"}
    assert all(f'"{stage.capitalize()}Time"' in body for stage in stages)


def test_every_parameter_has_a_default_a_description_a_group_and_bounds() -> None:
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]

    assert sorted(grouped) == sorted(TEMPLATE["Parameters"])
    for name, parameter in TEMPLATE["Parameters"].items():
        assert "Default" in parameter, f"{name}: a deployment must need no answers"
        bounds = {"AllowedPattern", "AllowedValues", "MinValue"} & set(parameter)
        assert bounds or parameter["Type"] == "CommaDelimitedList", name
        assert "Description" in parameter or "AllowedValues" in parameter, name


@pytest.mark.parametrize(
    ("parameter", "valid", "invalid"),
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
def test_patterns_accept_valid_values_and_reject_invalid_ones(
    parameter: str, valid: list[str], invalid: list[str]
) -> None:
    pattern = re.compile(TEMPLATE["Parameters"][parameter]["AllowedPattern"])

    assert [value for value in valid if not pattern.search(value)] == []
    assert [value for value in invalid if pattern.search(value)] == []


def test_every_log_group_has_the_retention_of_the_parameter() -> None:
    groups = {name for name, resource in RESOURCES.items() if resource["Type"] == "AWS::Logs::LogGroup"}

    assert FUNCTION["LoggingConfig"] == {"LogGroup": {"Ref": "FunctionLogs"}}
    assert RESOURCES["Api"]["Properties"]["AccessLogSetting"]["DestinationArn"] == {"Fn::GetAtt": "ApiLogs.Arn"}
    assert groups == {"FunctionLogs", "ApiLogs"}
    for name in groups:
        assert RESOURCES[name]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_a_batch_job_can_invoke_the_live_alias_and_cannot_access_photos() -> None:
    (policy,) = RESOURCES["BatchOperationsRole"]["Properties"]["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    (invocation,) = [statement for statement in statements if statement["Action"] == "lambda:InvokeFunction"]

    assert invocation["Resource"] == {"Ref": "ClassifierFunction.Alias"}
    for statement in statements:
        assert UPLOAD_PREFIX not in json.dumps(statement["Resource"])


def test_failed_events_are_kept_longer_than_they_are_retried() -> None:
    """An operator then has time to fix the cause."""
    age = FUNCTION["EventInvokeConfig"]["MaximumEventAgeInSeconds"]

    assert RESOURCES["FailureQueue"]["Properties"]["MessageRetentionPeriod"] > age


def test_samconfig_uses_only_parameters_of_the_template() -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())

    assert {"default", "staging", "prod"} < set(config)
    for environment in ("default", "staging", "prod"):
        deploy = config[environment]["deploy"]["parameters"]
        names = {override.partition("=")[0] for override in deploy["parameter_overrides"]}
        assert names <= set(TEMPLATE["Parameters"])
        assert deploy["capabilities"] == "CAPABILITY_IAM"
        assert any(tag.startswith("environment=") for tag in deploy["tags"])


def test_sam_local_uses_the_local_system() -> None:
    """Only variables that the template declares reach the container."""
    (variables,) = json.loads((ROOT / "local" / "sam-environment.json").read_text()).values()

    assert set(variables) <= set(VARIABLES)
    assert variables == {
        "AWS_ENDPOINT_URL": "http://host.docker.internal:5000",
        "BUCKET_NAME": BUCKET,
        "TABLE_NAME": TABLE,
        "CURSOR_KEY": "local",
    }


def test_the_documented_batch_job_is_a_valid_request() -> None:
    """The SDK's own validator accepts the `aws s3control create-job` command of docs/operations.md."""
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
        "MatchAnyPrefix": [UPLOAD_PREFIX]
    }


def test_the_readme_documents_every_setting() -> None:
    readme = (ROOT / "README.md").read_text()

    assert [name for name in sorted(settings_in_code()) if f"`{name}`" not in readme] == []
