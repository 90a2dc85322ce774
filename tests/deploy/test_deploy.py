"""The template and the commands of docs/deploy.md, on an emulator of AWS: `make test-deploy`.

The tests follow the page from top to bottom: each goes on with the stack that the one before has left.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from samtranslator.yaml_helper import yaml_parse

from tests.deploy.replacements import HANDLER, RIE, replace
from tests.support.drawings import photo
from tests.support.local_system import wait_until
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.shipped_model import LABELS, shipped_label

SAM, AWS_CLI, EMULATOR_PYTHON = (Path(os.environ[name]).absolute() for name in ("SAM", "AWS_CLI", "EMULATOR_PYTHON"))
STACK = "clothes-classifier"  # of samconfig.toml
IMAGE = "classifierfunction:latest"  # SAM's name for it
LABEL = shipped_label((ROOT / "local" / "t-shirt.jpg").read_bytes())  # of the page's photo
# The function fetches from public addresses alone, so this network on this machine has some; nothing is routed there.
PUBLIC_SUBNET, PHOTO_URL = "11.11.11.0/24", "http://photos.example/pants.jpg"
ENTER = "\\n"  # accepts the default of a question
DOMAIN = "photos.shop.example"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1"


def block(start: str, page: str = "deploy") -> str:
    """Return the commands of the page's block that begins so."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"```sh\n( *{re.escape(start)}.*?)```", text, re.DOTALL)
    return str(found)


@dataclass(frozen=True)
class Cloud:
    """The emulator, and a copy of the checkout from which the tests deploy."""

    url: str
    checkout: Path

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(AWS_CLI.parent), str(SAM.parent), os.environ["PATH"]])
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "PATH": path,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_CHECK_VERSION": "0",
        }

    def run(self, script: str, *, check: bool = True) -> str:
        """Run commands in the checkout. Return what they print; fail with it if they fail."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.checkout,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    def aws(self, command: str) -> Any:
        """Return the JSON that a command of the AWS CLI prints."""
        return json.loads(self.run(f"aws {command} --output json") or "null")

    def deploy(self, *overrides: str, break_it: bool = False, environment: str = "default") -> str:
        """Deploy the built template with the replacements. `break_it` adds a resource that cannot be made."""
        built = self.checkout / ".aws-sam" / "build"
        template = replace(yaml_parse((built / "template.yaml").read_text(encoding="utf-8")))
        if break_it:
            template["Resources"]["Impossible"] = {
                "Type": "AWS::CloudWatch::Alarm",
                "DependsOn": "ClassificationsTable",
                "Properties": {
                    "Metrics": [{"Id": "a", "Expression": "1"}],
                    "ComparisonOperator": "LessThanThreshold",
                    "EvaluationPeriods": 1,
                    "Threshold": 1,
                },
            }
        (built / "replaced.json").write_text(json.dumps(template))
        options = f"--parameter-overrides {shlex.join(overrides)}" if overrides else ""
        return self.run(
            f"sam deploy --template-file .aws-sam/build/replaced.json --config-file {self.checkout}/emulator.toml"
            f" --config-env {environment} --no-confirm-changeset --no-fail-on-empty-changeset {options}",
            check=not break_it,
        )

    def script(self, *blocks: str) -> str:
        """Return these blocks of the page, with the API at the emulator's own address for it."""
        first, *rest = blocks
        api = f"API={self.url}/restapis/$(resource Api)/prod/_user_request_\n"
        return "\n".join([first, api, *rest])


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, network: str) -> Iterator[Cloud]:
    """The emulator with an empty account, and the image built by SAM."""
    folder = tmp_path_factory.mktemp("deploy")
    checkout, port = folder / "checkout", free_port()
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in files.split("\0")[:-1]:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_bytes((ROOT / name).read_bytes())
    tools = subprocess.run(
        [SAM.parent / "python", "-c", "import samcli.local as s; print(s.__path__[0])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "GATEWAY_PORT": str(port),
        "LAMBDA_EXECUTOR": "docker",
        "LAMBDA_DOCKER_NETWORK": network,
        "LAMBDA_DOCKER_FLAGS": f"-v {tools}/rapid/aws-lambda-rie-x86_64:{RIE}:ro",
    }
    with (folder / "emulator.log").open("wb") as log:
        process = subprocess.Popen(
            [EMULATOR_PYTHON, ROOT / "tests" / "deploy" / "emulator.py"],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    cloud = Cloud(f"http://localhost:{port}", checkout)
    try:
        wait_until(lambda: _answers(cloud.url), bool, 60)
        # SAM knows the registries of AWS alone; this one is given instead of `resolve_image_repos`.
        registry = cloud.aws("ecr create-repository --repository-name classifier")["repository"]["repositoryUri"]
        config = (
            (ROOT / "samconfig.toml")
            .read_text()
            .replace("resolve_image_repos = true", f'image_repository = "{registry}"')
        )
        (checkout / "emulator.toml").write_text(config)
        cloud.run("sam build")
        yield cloud
    finally:
        process.terminate()
        process.wait(30)
        tags = f"docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' --filter reference='localhost:{port}/*'"
        cloud.run(f"{tags} | xargs --no-run-if-empty docker image rm")


@pytest.fixture(scope="module")
def network() -> Iterator[str]:
    """A network of containers."""
    name = f"clothes-test-{uuid.uuid4().hex[:8]}"
    subprocess.run(["docker", "network", "create", "--subnet", PUBLIC_SUBNET, name], check=True, capture_output=True)
    yield name
    subprocess.run(["docker", "network", "rm", "--force", name], check=True, capture_output=True)


@pytest.fixture
def photo_network(cloud: Cloud, network: str, tmp_path: Path) -> Iterator[str]:
    """The network, with a server at PHOTO_URL."""
    (tmp_path / "pants.jpg").write_bytes(photo("pants"))
    server = ["--entrypoint", "python", IMAGE, "-m", "http.server", "--directory", "/photos", "80"]
    options = f"--rm --detach --network {network} --network-alias photos.example --volume {tmp_path}:/photos:ro"
    name = cloud.run(shlex.join(["docker", "run", *options.split(), *server])).strip()
    yield network
    cloud.run(f"docker kill {name}")


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/_ministack/health", timeout=5).status_code < 500
    except requests.ConnectionError:
        return False


def test_each_question_of_the_guided_deployment_has_a_default(cloud: Cloud) -> None:
    """The page's step 1. It goes on until SAM pushes the image to AWS's own registry, which is not here."""
    (cloud.checkout / "guided.toml").write_bytes((ROOT / "samconfig.toml").read_bytes())
    _, guided = block("   sam build").split("\n", 1)

    printed = cloud.run(f"printf '{ENTER * 50}' | {guided.strip()} --config-file guided.toml", check=False)

    assert "Saved arguments to config file" in printed
    assert "The push refers to repository [000000000000.dkr.ecr.us-east-1.amazonaws.com/" in printed


def test_a_failed_first_deployment_leaves_no_table_and_no_bucket(cloud: Cloud) -> None:
    printed = cloud.deploy(break_it=True)

    assert "ROLLBACK_COMPLETE" in printed
    assert cloud.aws("dynamodb list-tables")["TableNames"] == []
    buckets = [bucket["Name"] for bucket in cloud.aws("s3api list-buckets")["Buckets"]]
    assert not any(name.startswith(STACK) for name in buckets)


def test_the_retry_succeeds_and_the_first_photo_gets_its_label(cloud: Cloud) -> None:
    """The commands of the page's steps 2 and 3."""
    cloud.run(f"aws cloudformation delete-stack --stack-name {STACK}")
    cloud.deploy()
    first_photo = block("   aws s3 cp").replace("\n   curl --header", "\n   sleep 8; curl --fail --header", 1)

    printed = cloud.run(cloud.script(block("   STACK="), first_photo))

    assert f'"id": "listing-42/front.jpg", "status": "SUCCEEDED", "label": "{LABEL}"' in printed
    scores = json.loads(printed[printed.rindex("{") :])
    assert max(scores, key=scores.__getitem__) == LABEL


def test_every_address_of_the_stage_serves_the_page_with_a_working_api(cloud: Cloud) -> None:
    printed = cloud.run(
        cloud.script(
            block("   STACK="),
            "curl --fail --silent $API/ | grep 'name=.api.'; curl --fail --silent --head $API/health | head -1",
            'curl --silent --output /dev/null --write-out "%{http_code}\\n" --request DELETE $API/health',
            'curl --silent --output /dev/null --write-out "%{http_code}\\n" $API/model',
        )
    )

    assert '<meta name="api" content="/prod">' in printed
    assert "200 OK" in printed
    assert printed.splitlines()[-2:] == ["405", "403"]


def live_configuration(cloud: Cloud) -> Any:
    name = cloud.aws(
        f"cloudformation describe-stack-resource --stack-name {STACK} --logical-resource-id ClassifierFunction"
    )["StackResourceDetail"]["PhysicalResourceId"]
    return cloud.aws(f"lambda get-function-configuration --function-name {name} --qualifier live")


def test_a_changed_parameter_reaches_the_alias(cloud: Cloud) -> None:
    before = live_configuration(cloud)

    changed = ("MemorySize=2048", "ReviewThreshold=0.9", "LogLevel=DEBUG", "IndexShards=4")
    cloud.deploy(*changed, f"DomainName={DOMAIN}", f"CertificateArn={CERTIFICATE}")

    after = live_configuration(cloud)
    assert after["Version"] != before["Version"]
    assert after["MemorySize"] == 2048
    assert after["Environment"]["Variables"]["REVIEW_THRESHOLD"] == "0.9"
    assert after["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"] == "DEBUG"
    assert after["Environment"]["Variables"]["INDEX_SHARDS"] == "4"


def test_a_seller_s_browser_needs_the_token_of_the_listing_and_no_key(cloud: Cloud) -> None:
    key = cloud.run(cloud.script(block("   STACK="), "echo $KEY")).split()[-1]
    api = cloud.run(cloud.script(block("   STACK="), "echo $API")).split()[-1].rstrip("/")
    files = {"files": [{"name": "front.jpg", "content_type": "image/jpeg"}]}
    made = requests.post(f"{api}/uploads", json=files, headers={"x-api-key": key}, timeout=30).json()
    batch, token = made["batch_id"], {"Authorization": f"Bearer {made['token']}"}

    own = requests.get(f"{api}/listings/batches/{batch}", headers=token, timeout=30)
    added = requests.post(f"{api}/listings/uploads", json=files, headers=token, timeout=30)
    other = requests.get(f"{api}/listings/batches/listing-42", headers=token, timeout=30)
    nobody = requests.get(f"{api}/listings/batches/{batch}", timeout=30)
    preflight = requests.options(f"{api}/listings/batches/{batch}", timeout=30)
    removed = requests.delete(f"{api}/listings/batches/{batch}", headers=token, timeout=30)

    assert (own.status_code, own.json()["total"]) == (200, 1)
    assert (added.status_code, added.json()["batch_id"]) == (201, batch)
    assert [answer.status_code for answer in (other, nobody, preflight, removed)] == [404, 403, 204, 204]


def test_all_tokens_of_sellers_end_with_their_keys(cloud: Cloud) -> None:
    printed = cloud.run(
        cloud.script(
            block("   STACK="),
            block("aws dynamodb delete-item", OPERATIONS),
            "curl --silent --header \"x-api-key: $KEY\" --header 'Content-Type: application/json' "
            '--data \'{"files": [{"name": "a.jpg", "content_type": "image/jpeg"}]}\' $API/uploads > uploads.json',
            r"""TOKEN=$(sed 's/.*"token": "\([^"]*\)".*/\1/' uploads.json)""",
            r"""BATCH=$(sed 's/.*"batch_id": "\([^"]*\)".*/\1/' uploads.json)""",
            'curl --silent --header "Authorization: Bearer $TOKEN" $API/listings/batches/$BATCH',
        )
    )

    assert '"total": 1' in printed, "a token of the new key"


def test_a_domain_of_one_s_own_serves_the_page_with_a_working_api(cloud: Cloud) -> None:
    """It was set by the update before.

    The emulator says in `requestContext.path` that the path begins with the stage. API Gateway does so only without
    such a domain. So links begin with the stage here, and they work there too.
    """
    key = cloud.run(cloud.script(block("   STACK="), "echo $KEY")).split()[-1]
    headers = {"Host": DOMAIN, "x-api-key": key}
    page = requests.get(f"{cloud.url}/", headers={"Host": DOMAIN}, timeout=30).text
    (prefix,) = re.findall(r'<meta name="api" content="(.*?)">', page)

    uploaded = requests.get(f"{cloud.url}{prefix}/classifications/listing-42/front.jpg", headers=headers, timeout=30)
    body = (cloud.checkout / "local" / "t-shirt.jpg").read_bytes()
    image = headers | {"Content-Type": "image/jpeg"}
    sent = requests.post(f"{cloud.url}/predict", body, headers=image, timeout=30)
    followed = requests.get(cloud.url + sent.headers["Location"], headers=headers, timeout=30)

    assert requests.head(f"{cloud.url}/health", headers={"Host": DOMAIN}, timeout=30).status_code == 200
    assert requests.get(f"{cloud.url}/model", headers={"Host": DOMAIN}, timeout=30).status_code == 403
    assert requests.get(f"{cloud.url}/model", headers=headers, timeout=30).status_code == 200
    assert followed.status_code == 200, followed.text
    assert uploaded.json()["label"] == followed.json()["label"] == LABEL


def test_a_parameter_keeps_its_value_until_another_is_set(cloud: Cloud) -> None:
    """SAM sends the previous value of each parameter that is not named. So docs/deploy.md says how to undo one."""
    cloud.deploy()
    kept = live_configuration(cloud)

    empty = [f'{name}=""' for name in ("ReviewThreshold", "DomainName", "CertificateArn")]
    cloud.deploy("MemorySize=1769", "LogLevel=INFO", *empty)

    reset = live_configuration(cloud)
    assert (kept["MemorySize"], reset["MemorySize"]) == (2048, 1769)
    thresholds = [one["Environment"]["Variables"]["REVIEW_THRESHOLD"] for one in (kept, reset)]
    assert thresholds == ["0.9", ""]


def test_an_update_keeps_the_records(cloud: Cloud) -> None:

    printed = cloud.run(
        cloud.script(
            block("   STACK="), 'curl --fail --header "x-api-key: $KEY" $API/classifications/listing-42/front.jpg'
        )
    )

    assert f'"label": "{LABEL}"' in printed


def test_the_release_check_lets_the_new_version_pass(cloud: Cloud) -> None:
    """It is invoked as CodeDeploy does. The emulator has no CodeDeploy that could be told the result."""
    event = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "e-1"}
    (cloud.checkout / "hook.json").write_text(json.dumps(event))
    invoke = (
        f"aws lambda invoke --function-name CodeDeployHook_{STACK} --payload fileb://hook.json --cli-read-timeout 200 "
        "--log-type Tail --query LogResult --output text check.json | base64 --decode"
    )

    printed = cloud.run(invoke)

    assert '"status":"Succeeded"' in printed, printed
    left = cloud.run(cloud.script(block("   STACK="), "aws dynamodb scan --table-name $TABLE --query 'Items[].id.S'"))
    assert "listing-42/front.jpg" in left


def test_the_alias_moves_back_to_an_older_version(cloud: Cloud) -> None:
    newest = live_configuration(cloud)["Version"]
    older = str(int(newest) - 1)
    move = block("aws lambda update-alias").replace("41", older)

    printed = cloud.run("\n".join([block("   STACK="), block("FUNCTION="), move]))

    assert {newest, older} <= set(re.findall(r"^(\d+)\s", printed, re.MULTILINE))
    assert live_configuration(cloud)["Version"] == older


def test_a_version_that_was_not_released_is_deleted_and_the_alarm_is_reset(cloud: Cloud) -> None:
    """Before a deployment of the same code, and after one that CodeDeploy stopped."""
    function = "--function-name $(resource ClassifierFunction)"
    list_versions = f"aws lambda list-versions-by-function {function} --query 'Versions[].Version' --output text"
    read_alarm = "aws cloudwatch describe-alarms --alarm-names $(resource NewVersionErrorsAlarm)"

    printed = cloud.run(
        "\n".join(
            [
                block("   STACK="),
                f"aws lambda update-function-configuration {function} --description other > other.json",
                f"VERSION=$(aws lambda publish-version {function} --query Version --output text)",
                f"echo Before: $({list_versions}). New: $VERSION.",
                block("  aws lambda delete-function").replace("43", "$VERSION"),
                f"echo After: $({list_versions}).",
                block("  aws cloudwatch set-alarm-state"),
                f"{read_alarm} --query 'MetricAlarms[].StateValue' --output text",
            ]
        )
    )

    before, new, after = (
        set(re.findall(r"\d+", found)) for found in re.findall(r"(?:Before|New|After): ([^.]*)\.", printed)
    )
    assert before - after == new
    assert printed.split()[-1] == "OK"


def test_staging_is_a_stack_of_its_own_with_its_parameters(cloud: Cloud) -> None:
    printed = cloud.deploy(environment="staging")

    assert f"Successfully created/updated stack - {STACK}-staging" in printed
    stack = cloud.aws(f"cloudformation describe-stacks --stack-name {STACK}-staging")["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    function = cloud.aws(f"lambda get-function-configuration --function-name {outputs['FunctionArn']}")
    assert outputs["ApiUrl"].endswith("/staging")
    assert outputs["BucketName"].startswith(f"{STACK}-staging-uploads-")
    assert function["Environment"]["Variables"]["RETENTION_DAYS"] == "30"
    cloud.run(f"sam delete --no-prompts --stack-name {STACK}-staging --config-file {cloud.checkout}/emulator.toml")
    cloud.run(f"aws s3 rb --force s3://{outputs['BucketName']}")
    cloud.run(f"aws dynamodb delete-table --table-name {outputs['TableName']}")


OPERATIONS = "operations"


def test_a_deleted_record_comes_back_from_the_point_in_time_recovery(cloud: Cloud) -> None:
    """The emulator keeps no earlier states, so the record is deleted between the restore and the copy."""
    restore = block("TABLE=$(output TableName) BUCKET", OPERATIONS).replace("python3", sys.executable)
    delete = (
        'aws dynamodb delete-item --table-name $TABLE --key \'{"id": {"S": "listing-42/front.jpg"}}\'\n'
        f"{sys.executable} docs"
    )

    printed = cloud.run(
        cloud.script(
            block("   STACK="),
            restore.replace(f"{sys.executable} docs", delete),
            block("aws dynamodb delete-table --table-name $TABLE-restored", OPERATIONS),
            'curl --fail --header "x-api-key: $KEY" $API/classifications/listing-42/front.jpg',
        )
    )

    assert re.search(r"^1 copied", printed, re.MULTILINE), printed
    assert f'"label": "{LABEL}"' in printed


def test_a_new_key_replaces_one_that_others_have(cloud: Cloud) -> None:
    """The emulator still accepts a key that is disabled by this command."""
    status = 'curl --silent --output /dev/null --write-out "%{http_code}\\n" --header "x-api-key: $KEY" $API/model'
    disabled = "aws apigateway get-api-key --api-key $(resource ApiApiKey) --query enabled --output text"
    new_key = block("NEW_KEY=", OPERATIONS).replace("aws apigateway get-api-key", "KEY=$(aws apigateway get-api-key")

    printed = cloud.run(
        cloud.script(
            block("   STACK="),
            block("aws apigateway update-api-key", OPERATIONS),
            disabled,
            f"{new_key.rstrip()})",
            status,
            block("aws apigateway update-api-key", OPERATIONS).replace("false", "true"),
        )
    )

    assert re.findall(r"^(?:\d{3}|true|false)$", printed.lower(), re.MULTILINE) == ["false", "200"]


def test_an_older_version_answers_when_it_is_woken(cloud: Cloud) -> None:
    wake = block("VERSION=", OPERATIONS).replace("41", live_configuration(cloud)["Version"])

    printed = cloud.run("\n".join([block("   STACK="), wake, "cat health.json"]))

    assert "Active" in printed
    assert '\\"status\\": \\"ok\\"' in printed


def test_the_function_stops_and_goes_on(cloud: Cloud) -> None:
    """The emulator does not limit the concurrency. It only keeps the setting."""
    read = "aws lambda get-function-concurrency --function-name $(resource ClassifierFunction) --output text"

    printed = cloud.run(
        cloud.script(
            block("   STACK="),
            block("  aws lambda put-function-concurrency", "oncall"),
            read,
            block("  aws lambda delete-function-concurrency", "oncall"),
            f"echo left: $({read})",
        )
    )

    assert re.search(r"^0$", printed, re.MULTILINE)
    assert printed.splitlines()[-1] in {"left:", "left: None"}


def test_the_photos_of_a_seller_and_the_record_of_a_request_are_erased(cloud: Cloud) -> None:
    """The listing is gone from the bucket, too, and the event of its upload does not bring it back."""
    erase = block("curl --request DELETE", OPERATIONS)

    printed = cloud.run(
        cloud.script(
            block("   STACK="),
            'curl --silent --dump-header headers --output /dev/null --header "x-api-key: $KEY" '
            "--header 'Content-Type: image/jpeg' --data-binary @local/t-shirt.jpg $API/predict",
            "ID=$(grep -i ^location: headers | tr -d '\\r'); ID=${ID##*/}",
            "aws s3 cp local/t-shirt.jpg s3://$BUCKET/uploads/listing-7/front.jpg",
            erase.replace("ID_OF_A_CLASSIFICATION", "$ID").replace("listing-42", "listing-7"),
            'curl --silent --header "x-api-key: $KEY" $API/classifications/$ID',
            'curl --silent --header "x-api-key: $KEY" $API/batches/listing-7',
            "echo; echo left: $(aws s3 ls s3://$BUCKET/uploads/listing-7/)",
            'sleep 8; curl --silent --header "x-api-key: $KEY" $API/classifications/listing-7/front.jpg',
        )
    )

    assert printed.count('"code": "not_found"') == 3
    assert re.search(r"^left:$", printed, re.MULTILINE)


def test_one_function_without_a_stack_returns_ten_scores(cloud: Cloud, photo_network: str) -> None:
    """The way of the tutorials: the function is made, tested with a saved event, and exposed by hand.

    The last command of the page, a request, is left out: the emulator treats the integration AWS, which passes the body
    of the request alone, like AWS_PROXY.
    """
    (cloud.checkout / "events" / "direct.json").write_text(json.dumps({"url": PHOTO_URL}))
    # The emulator starts images as `replacements` says.
    start = json.dumps({"EntryPoint": [RIE, "python", "-m", "awslambdaric"], "Command": [HANDLER]})
    make = block("   TRUST=").replace("sleep 10", "true").replace("--timeout", f"--image-config '{start}' --timeout")
    log_out = "docker logout ${REPOSITORY%%/*}"
    read = "method get-integration --query '[type, httpMethod, uri]' --output text"
    # The emulator makes no log group for the function.
    remove = block("   aws apigateway delete-rest-api").replace("aws logs delete-log-group", "echo aws logs")

    printed = cloud.run(
        "\n".join(
            [block("   REPOSITORY="), make, block("   aws lambda invoke"), block("   REGION="), log_out, read, remove]
        )
    )

    (scores,) = (json.loads(found) for found in re.findall(rf'\{{"{re.escape(LABELS[0])}": [^}}]+\}}', printed))
    assert tuple(scores) == LABELS
    assert max(scores, key=scores.__getitem__) == shipped_label(photo("pants"))
    (integration,) = re.findall(r"^AWS\s.*", printed, re.MULTILINE)
    kind, method, uri = integration.split()
    assert (kind, method) == ("AWS", "POST")
    assert re.fullmatch(
        r"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:\S+:clothes/invocations", uri
    )


def test_the_stack_is_removed_and_its_data_remain_until_they_are_deleted(cloud: Cloud) -> None:
    printed = cloud.run(
        cloud.script(
            block("   STACK="),
            block("sam delete").replace(
                "sam delete", f"sam delete --no-prompts --config-file {cloud.checkout}/emulator.toml"
            ),
            "aws s3 ls s3://$BUCKET/uploads/listing-42/",
            block("aws s3 rb"),
        )
    )

    assert "front.jpg" in printed
    assert cloud.aws("dynamodb list-tables")["TableNames"] == []
