"""The template as CloudFormation sees it: SAM has replaced its own resources by those of other services."""

import json
import os
import re
import tomllib
from dataclasses import replace
from typing import Any

import pytest
from botocore.model import OperationModel
from cfnlint.api import ManualArgs, lint
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from classifier.services import Services
from local.template import TEMPLATE, read_template
from tests.support.api import Api, handle
from tests.support.bucket import Bucket
from tests.support.drawings import photo
from tests.support.events import failed_event, message, queue_event, s3_event
from tests.support.paths import ROOT
from tests.support.services import replace_parts

PARTITION = "arn:aws:iam::aws:policy/"
# What SAM asks IAM for: the ARNs of AWS's policies by their names.
MANAGED_POLICIES = {
    "AWSCodeDeployRoleForLambda": f"{PARTITION}service-role/AWSCodeDeployRoleForLambda",
    "AWSLambdaBasicExecutionRole": f"{PARTITION}service-role/AWSLambdaBasicExecutionRole",
    "AWSLambdaSQSQueueExecutionRole": f"{PARTITION}service-role/AWSLambdaSQSQueueExecutionRole",
    "AWSXRayDaemonWriteAccess": f"{PARTITION}AWSXRayDaemonWriteAccess",
}
BUCKET_ARN = "arn:${AWS::Partition}:s3:::${AWS::StackName}-uploads-${AWS::AccountId}-${AWS::Region}"
# What Lambda itself does with the function's role: for the destination, the event source, the log group and X-Ray.
ACTIONS_OF_LAMBDA = {
    "sqs:SendMessage",
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
}
# Of what SAM makes: parameters that its transformation has used up, and needless DependsOn. The template itself ignores
# the third one and says why, but SAM drops that.
IGNORED_WARNINGS = ["W2001", "W3005", "W3011"]


class Policies:
    """What SAM asks for the ARNs of AWS's policies."""

    def load(self) -> dict[str, str]:
        return MANAGED_POLICIES


def transformed(**parameters: str) -> dict[str, Any]:
    """Return the template that SAM makes, with other values of some parameters."""
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # SAM looks for the partition
    template = yaml_parse(TEMPLATE.read_text(encoding="utf-8"))
    for name in ("ClassifierFunction", "ReleaseCheckFunction"):
        template["Resources"][name]["Properties"]["ImageUri"] = "1.dkr.ecr.us-east-1.amazonaws.com/a:b"
    result: dict[str, Any] = json.loads(json.dumps(transform(template, parameters, Policies())))
    return result


def transformed_for(environment: str) -> dict[str, Any]:
    """Return the template that SAM makes with the parameters of an environment in samconfig.toml."""
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    overrides = config[environment]["deploy"]["parameters"]["parameter_overrides"]
    return transformed(**dict(override.split("=", 1) for override in overrides))


# Where they have another name than the operation. Without ListBucket, S3 answers 403 for what is missing, not 404.
ACTIONS_BY_OPERATION = {
    "s3:GetObject": {"s3:GetObject", "s3:ListBucket"},
    "s3:HeadObject": {"s3:GetObject", "s3:ListBucket"},
    "s3:ListObjectsV2": {"s3:ListBucket"},
    "s3:DeleteObjects": {"s3:DeleteObject"},
}


@pytest.fixture
def called_operations(services: Services, bucket: Bucket) -> set[str]:
    """The IAM actions of all calls to AWS that the SDK is seen to make for each kind of event.

    A presigned form needs no call, but it works only if its signer may put objects.
    """
    seen = {"s3:PutObject"}

    def record(model: OperationModel, **_: Any) -> None:
        operation = f"{model.service_model.service_name}:{model.name}"
        seen.update(ACTIONS_BY_OPERATION.get(operation, {operation}))

    publishing = replace_parts(services, settings=replace(services.settings, event_bus="default"))
    clients = [services.bucket.client, services.records.client, publishing.eventbridge]
    for client in clients:
        client.meta.events.register("before-call", record, unique_id="called_operations")
    try:
        api = Api(publishing)
        bucket.put("uploads/listing-1/front.jpg", photo())
        handle(s3_event("uploads/listing-1/front.jpg"), publishing)
        handle(failed_event("uploads/listing-1/other.jpg"), publishing)
        handle(queue_event(message(s3_event("uploads/listing-1/front.jpg"))), publishing)
        handle(s3_event("uploads/listing-1/front.jpg", name="ObjectRemoved:Delete"), publishing)
        answer = api.request("POST", "/classifications", body=photo(), headers={"Content-Type": "image/jpeg"})
        api.request("PUT", f"/confirmations/{answer.json['id']}", {"label": "pants"})
        for path in ("/classifications", "/classifications/not-there", "/batches/listing-1", "/health", "/model"):
            api.request("GET", path)
        listing = api.request("POST", "/uploads", {"files": [{"name": "a.jpg", "content_type": "image/jpeg"}]}).json
        api.request("PUT", f"/batches/{listing['batch_id']}/confirmation", {"label": "pants"})
        api.request("DELETE", f"/batches/{listing['batch_id']}")
    finally:
        for client in clients:
            client.meta.events.unregister("before-call", unique_id="called_operations")
    return seen


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    result: dict[str, Any] = transformed()["Resources"]
    return result


def of_type(resources: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Return the properties of all resources of a type, by their names."""
    return {name: resource["Properties"] for name, resource in resources.items() if resource["Type"] == kind}


def statements(role: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statements of a role's own policies, those with a condition of the template too."""
    found = [one for policy in role.get("Policies", []) for one in policy["PolicyDocument"]["Statement"]]
    return [statement["Fn::If"][1] if "Fn::If" in statement else statement for statement in found]


def actions(statement: dict[str, Any]) -> set[str]:
    action = statement["Action"]
    return set(action if isinstance(action, list) else [action])


def find_references(value: Any) -> set[str]:
    """Return all names in `Ref`, `Fn::GetAtt`, `Fn::Sub` and `Fn::If` at any depth."""
    if isinstance(value, list):
        return set().union(*map(find_references, value))
    if not isinstance(value, dict):
        return set()
    found = set().union(*map(find_references, value.values()))
    for function, argument in value.items():
        if function in {"Ref", "Condition"}:
            found.add(argument)
        elif function == "Fn::GetAtt":
            found.add(argument[0] if isinstance(argument, list) else argument.partition(".")[0])
        elif function == "Fn::Sub":
            text = argument[0] if isinstance(argument, list) else argument
            found |= {name.partition(".")[0] for name in re.findall(r"\$\{([^!}]+)\}", text)}
        elif function == "Fn::If":
            found.add(argument[0])
    return found


@pytest.mark.parametrize("environment", ["default", "staging", "prod"])
def test_cloudformations_linter_accepts_it(environment: str) -> None:
    """It also follows the conditions, whatever the parameters are."""
    found = lint(json.dumps(transformed_for(environment)), config=ManualArgs(ignore_checks=IGNORED_WARNINGS))

    assert [f"{each.rule.id} {each.path}: {each.message}" for each in found] == []


def test_each_parameter_that_changes_the_function_publishes_a_version(resources: dict[str, Any]) -> None:
    """SAM names the version by the text of the template. So another value must change a property of the version."""
    template = read_template()
    function = resources["ClassifierFunction"]["Properties"]
    (version,) = of_type(resources, "AWS::Lambda::Version").values()
    names = find_references(function)
    conditions = [template["Conditions"][name] for name in names & template["Conditions"].keys()]
    needed = (names | find_references(conditions)) & template["Parameters"].keys()

    # The concurrency is the function's, and all versions share it. The image has the Python version.
    assert needed - {"ReservedConcurrency"} == find_references(version["Description"]) - {"PythonVersion"}
    longest = {
        name: max(map(str, parameter.get("AllowedValues", [10**12])), key=len)
        for name, parameter in template["Parameters"].items()
    }
    description = re.sub(r"\$\{(\w+)\}", lambda match: longest[match[1]], version["Description"]["Fn::Sub"])
    assert len(description) <= 256, "Lambda's limit"


def test_older_versions_stay(resources: dict[str, Any]) -> None:
    """A new code gives the version another logical id, a new parameter replaces the resource."""
    version = resources[version_of(resources)]

    assert (version["DeletionPolicy"], version["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_nothing_depends_on_a_resource_with_a_condition(resources: dict[str, Any]) -> None:
    """CloudFormation refuses a template in which the condition is false."""
    for resource in resources.values():
        names = resource.get("DependsOn", [])
        for name in [names] if isinstance(names, str) else names:
            assert "Condition" not in resources[name]


def test_the_role_of_the_gateways_logs_is_set_before_the_stage(resources: dict[str, Any]) -> None:
    """By a reference of the API, on which the stage depends."""
    assert "ApiGatewayAccount" in find_references(resources["Api"])
    assert "Api" in find_references(resources["ApiStage"])


def test_the_function_s_role_allows_what_the_function_and_lambda_call(
    resources: dict[str, Any], called_operations: set[str]
) -> None:
    role = resources["ClassifierFunctionRole"]["Properties"]
    allowed = set().union(*map(actions, statements(role)))

    assert "ManagedPolicyArns" not in role
    assert allowed == called_operations | ACTIONS_OF_LAMBDA
    assert not any("*" in action for action in allowed)


def test_each_permission_is_for_one_resource(resources: dict[str, Any]) -> None:
    wide = {
        frozenset(actions(statement))
        for name, role in of_type(resources, "AWS::IAM::Role").items()
        for statement in statements(role)
        if statement["Resource"] == "*"
    }

    assert wide == {frozenset({"xray:PutTraceSegments", "xray:PutTelemetryRecords"})}, "X-Ray has no resources"
    for statement in statements(resources["ClassifierFunctionRole"]["Properties"]):
        if any(action.startswith("sqs:") for action in actions(statement)):
            assert statement["Resource"] == {"Fn::GetAtt": ["FailureQueue", "Arn"]}


def test_events_may_be_published_only_if_they_are(resources: dict[str, Any]) -> None:
    (policy,) = resources["ClassifierFunctionRole"]["Properties"]["Policies"]
    (conditional,) = [one["Fn::If"] for one in policy["PolicyDocument"]["Statement"] if "Fn::If" in one]

    assert conditional[0] == "PublishesEvents"
    assert actions(conditional[1]) == {"events:PutEvents"}
    assert conditional[2] == {"Ref": "AWS::NoValue"}


def test_the_release_check_may_do_what_it_does(resources: dict[str, Any]) -> None:
    """It invokes the new version, and reports to CodeDeploy."""
    allowed = statements(resources["ReleaseCheckRole"]["Properties"])

    assert [(sorted(actions(one)), one["Resource"]) for one in allowed] == [
        (["lambda:InvokeFunction"], {"Fn::Sub": "${ClassifierFunction.Arn}:*"}),
        (
            ["codedeploy:PutLifecycleEventHookExecutionStatus"],
            {
                "Fn::Sub": "arn:${AWS::Partition}:codedeploy:${AWS::Region}:${AWS::AccountId}:deploymentgroup:"
                "${ServerlessDeploymentApplication}/*"
            },
        ),
        (["logs:CreateLogStream", "logs:PutLogEvents"], {"Fn::GetAtt": ["FunctionLogs", "Arn"]}),
    ]


@pytest.mark.parametrize(
    ("environment", "shift"),
    [
        ("default", "AllAtOnce"),
        ("staging", "AllAtOnce"),
        ("prod", "Canary10Percent5Minutes"),
    ],
)
def test_each_environment_checks_a_new_version_before_it_shifts_the_traffic(environment: str, shift: str) -> None:
    found = transformed_for(environment)["Resources"]
    policy = found["ClassifierFunctionAliaslive"]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    group = found["ClassifierFunctionDeploymentGroup"]["Properties"]
    hook = found["ReleaseCheckFunction"]["Properties"]

    assert policy["BeforeAllowTrafficHook"] == {"Ref": "ReleaseCheckFunction"}
    assert hook["FunctionName"] == {"Fn::Sub": "CodeDeployHook_${AWS::StackName}"}, "CodeDeploy's role may invoke it"
    assert hook["Environment"]["Variables"]["NEW_VERSION"] == {"Ref": version_of(found)}
    assert hook["Code"] == found["ClassifierFunction"]["Properties"]["Code"], "the same image"
    assert group["AlarmConfiguration"]["Alarms"] == [{"Name": {"Ref": "NewVersionErrorsAlarm"}}]
    assert group["DeploymentConfigName"]["Fn::Sub"] == ["CodeDeployDefault.Lambda${ConfigName}", {"ConfigName": shift}]


def version_of(found: dict[str, Any]) -> str:
    (name,) = of_type(found, "AWS::Lambda::Version")
    return name


def test_only_the_uploads_bucket_may_invoke_the_function(resources: dict[str, Any]) -> None:
    permissions = of_type(resources, "AWS::Lambda::Permission").values()
    (bucket,) = [one for one in permissions if one["Principal"] == "s3.amazonaws.com"]

    assert bucket["SourceArn"] == {"Fn::Sub": BUCKET_ARN}
    assert bucket["SourceAccount"] == {"Ref": "AWS::AccountId"}
    assert BUCKET_ARN.endswith(resources["UploadsBucket"]["Properties"]["BucketName"]["Fn::Sub"])
    assert resources["UploadsBucket"]["DependsOn"] == "ClassifierFunctionUploadsPermission"
    assert all("SourceArn" in one for one in permissions)


def test_every_route_takes_every_method(resources: dict[str, Any]) -> None:
    """A monitor's HEAD then reaches the function, and a wrong method gets its 405 instead of the gateway's 403.

    Browsers ask for OPTIONS without the API key, and sellers have a token instead.
    """
    paths = resources["Api"]["Properties"]["Body"]["paths"]
    any_method = "x-amazon-apigateway-any-method"

    assert set(paths) == {"/", "/desk", "/docs", "/health", "/openapi.json", "/listings/{proxy+}", "/{proxy+}"}
    for path, methods in paths.items():
        assert set(methods) == {any_method, "options"} if path == "/{proxy+}" else {any_method}
        for name, method in methods.items():
            needs_key = method["security"] == [{"api_key": []}]
            assert needs_key == (path == "/{proxy+}" and name == any_method)


def test_the_stage_names_the_origins_whose_pages_may_call_the_api(resources: dict[str, Any]) -> None:
    """A variable of a stage cannot hold a star."""
    variables = resources["ApiStage"]["Properties"]["Variables"]

    assert variables == {
        "allowedOrigins": {"Fn::If": ["AllowsAnyOrigin", "any", {"Fn::Join": [",", {"Ref": "AllowedOrigins"}]}]}
    }


def test_methods_have_no_metrics_of_their_own(resources: dict[str, Any]) -> None:
    """They would be charged; the alarms and the dashboard use those of the stage."""
    settings = resources["ApiStage"]["Properties"]["MethodSettings"]

    assert not any(setting.get("MetricsEnabled") for setting in settings)


def test_batch_operations_may_use_its_role_whether_or_not_it_names_the_account(resources: dict[str, Any]) -> None:
    """AWS does not document that S3 Batch Operations sets `aws:SourceAccount`."""
    (statement,) = resources["BatchOperationsRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]

    assert statement["Principal"] == {"Service": "batchoperations.s3.amazonaws.com"}
    assert statement["Condition"] == {"StringEqualsIfExists": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
