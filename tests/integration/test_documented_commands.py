"""The commands in README and docs, and those that `make run` prints, work as they are printed.

They run in a bare shell, as on a machine that has nothing but Python, curl and the AWS CLI: without this project's
packages, without credentials, and in a copy of the checkout. Each block of commands runs in a shell of its own.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.template import read_template
from tests.support.errors import error_kinds
from tests.support.local_system import TIMEOUT, System, running, status
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.shown_answers import comparable_model, comparable_text, shape

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
API_PAGE = ROOT / "docs" / "api.md"

# Blocks that cannot run on this machine: page, how the first command begins, and the reason. Those that need an AWS
# account run against moto's account instead.
AWS_ACCOUNT = "needs an AWS account"
TRAINING = "needs photos and TensorFlow; tests/training/test_train.py takes the same road"
EMULATOR = "needs Docker and an AWS account; tests/deploy/test_deploy.py runs it on an emulator"
NOT_HERE = {
    ("README.md", "make run"): "starts the local system, as tests/support/local_system.py does for this test",
    (
        "rehearsal.md",
        "make run",
    ): "starts a local system with a fault; tests/integration/test_rehearsal.py starts them all",
    ("api.md", "python3 docs/listing_server.py"): "serves on; tests/integration/test_listing_server.py runs it",
    (
        "api.md",
        "openapi-python-client generate",
    ): "needs a package; tests/integration/test_generated_client.py runs it",
    ("README.md", "sam build"): "needs Docker and an AWS account; tests/container/test_container.py builds and invokes",
    ("README.md", "make evaluate"): TRAINING,
    ("training.md", "make train QUICK=1"): TRAINING,
    ("training.md", "git clone"): "needs the internet and hours; tests/training/test_train.py trains on a few photos",
    ("training.md", ".venv-training/bin/python -m pip"): "needs a GPU",
    ("training.md", "make confirmed"): "needs confirmed photos; tests/unit/test_export_confirmed.py exports some",
    ("desk.md", ".venv/bin/python -m pytest"): "starts Chromium; `make test-browser` runs the test without the pauses",
    ("deploy.md", "sam build"): "needs Docker and an AWS account; tests/container/test_container.py builds and invokes",
    ("deploy.md", "RIE="): "needs Docker and the internet; tests/container/test_container.py uses the same emulator",
    ("deploy.md", "STACK="): AWS_ACCOUNT,
    ("deploy.md", "aws s3 cp"): AWS_ACCOUNT,
    ("deploy.md", "DEPLOYMENT="): AWS_ACCOUNT,
    ("deploy.md", "FUNCTION="): AWS_ACCOUNT,
    ("deploy.md", "aws lambda update-alias"): AWS_ACCOUNT,
    ("deploy.md", "sam delete"): EMULATOR,
    ("deploy.md", "REPOSITORY="): EMULATOR,
    ("deploy.md", "TRUST="): EMULATOR,
    ("deploy.md", "aws lambda invoke"): EMULATOR,
    ("deploy.md", "REGION="): EMULATOR,
    ("deploy.md", "curl --header 'Content"): "needs an AWS account: no emulator here has this kind of integration",
    ("deploy.md", "aws s3 rb"): AWS_ACCOUNT,
    ("operations.md", "STACK="): AWS_ACCOUNT,
    ("oncall.md", "aws lambda put-function-concurrency"): EMULATOR,
    ("oncall.md", "aws lambda delete-function-concurrency"): EMULATOR,
    ("operations.md", "aws sqs start-message-move-task"): AWS_ACCOUNT,
    ("operations.md", "ACCOUNT="): AWS_ACCOUNT,
    ("operations.md", "TABLE=$(output TableName) BUCKET="): EMULATOR,
    (
        "operations.md",
        "TABLE=$(output TableName)\n",
    ): "needs an AWS account: no emulator here has backups of deleted tables",
    ("operations.md", "aws apigateway get-api-key"): EMULATOR,
    ("operations.md", "NEW_KEY="): EMULATOR,
    ("operations.md", "aws apigateway update-api-key"): EMULATOR,
    ("operations.md", "curl --request DELETE"): EMULATOR,
    ("operations.md", "aws dynamodb delete-table"): EMULATOR,
    ("operations.md", "aws dynamodb delete-item"): EMULATOR,
    ("oncall.md", "STACK="): AWS_ACCOUNT,
    ("deploy.md", "aws apigateway delete-rest-api"): EMULATOR,
    ("deploy.md", "aws lambda delete-function"): EMULATOR,
    ("deploy.md", "aws cloudwatch set-alarm-state"): EMULATOR,
    ("operations.md", "KEY_ID="): AWS_ACCOUNT,
    ("operations.md", "VERSION="): EMULATOR,
    ("operations.md", "aws lambda get-account-settings"): AWS_ACCOUNT,
}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
# Calls that moto does not have. For these the AWS CLI checks its arguments only.
NOT_IN_MOTO = (
    *("deploy stop-deployment", "s3control create-job", "sqs start-message-move-task"),
    *("apigateway update-usage", "lambda get-account-settings", "service-quotas request-service-quota-increase"),
)

TOOLS = ("bash", "sh", "cat", "chmod", "cp", "curl", "head", "ls", "mkdir", "rm", "sed", "sleep", "tail")
AWS_CLI = Path(os.environ.get("AWS_CLI") or f"{sys.prefix}-aws-cli/bin/aws")
# Options of curl that are newer than 7.81, the version of Ubuntu 22.04.
NEW_CURL_OPTIONS = {"--json", "--no-clobber", "--rate", "--remove-on-error", "--url-query", "--variable"}
MORE = "…"  # stands for anything in a text; as the last item or field, for more of them
END_OF_COMMAND = "\x1e"


@dataclass(frozen=True)
class Command:
    """What to paste, and the answer that the page shows, if it shows one."""

    text: str
    shown: str = ""


@dataclass(frozen=True)
class Block:
    """The commands between two fences of a page."""

    page: str
    commands: tuple[Command, ...]

    @property
    def why_not_here(self) -> str | None:
        """The reason why this block cannot run on this machine."""
        return next((reason for place, reason in NOT_HERE.items() if self.is_at(*place)), None)

    def is_at(self, page: str, beginning: str) -> bool:
        """Return whether the block is on this page and begins with this command."""
        return self.page == page and self.commands[0].text.startswith(beginning)

    @property
    def script(self) -> str:
        """The commands as one script, which prints a separator after each."""
        return "".join(f"{command.text}\nprintf '{END_OF_COMMAND}'\n" for command in self.commands)


def read_blocks(page: Path) -> list[Block]:
    """Return the blocks of commands: ```sh, which an answer as ```json can follow, and ```console with "$ " lines."""
    fences = re.findall(
        r"^( *)```(sh|console)\n(.*?)\n\1```$(?:\n\n\1```json\n(.*?)\n\1```$)?",
        page.read_text(),
        re.MULTILINE | re.DOTALL,
    )
    return [Block(page.name, read_commands(kind, textwrap.dedent(text), answer)) for _, kind, text, answer in fences]


def read_commands(kind: str, text: str, answer: str) -> tuple[Command, ...]:
    """Return the commands of a block, each with its answer. The commands of ```sh stay together."""
    return read_console(text) if kind == "console" else (Command(text, answer),)


def read_console(text: str) -> tuple[Command, ...]:
    """Return each command behind a "$ ", with the lines that continue it, and the output that follows."""
    parts = (
        re.fullmatch(r"((?:[^\n]*\\\n)*[^\n]*)\n?(.*)", part, re.DOTALL)
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    )
    return tuple(Command(part[1], part[2].strip()) for part in parts if part)


BLOCKS = [block for page in PAGES for block in read_blocks(page)]
LOCAL_BLOCKS = [block for block in BLOCKS if block.why_not_here is None]
ACCOUNT_BLOCKS = [block for block in BLOCKS if block.why_not_here == AWS_ACCOUNT]
OTHER_BLOCKS = [block for block in BLOCKS if block.why_not_here]


@dataclass(frozen=True)
class Shell:
    """A shell that finds nothing but a few tools."""

    path: Path
    home: Path
    checkout: Path

    def run(self, script: str, **variables: str) -> str:
        """Run the script in the copy of the checkout. Return what it prints; fail if a command of it fails."""
        done = subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=self.checkout,
            env={"HOME": str(self.home), "PATH": str(self.path), **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A bare shell in a copy of the checkout."""
    if not AWS_CLI.is_file():
        pytest.fail(f"The AWS CLI is not installed at {AWS_CLI}. `make test` installs it; AWS_CLI can name another.")
    folder = tmp_path_factory.mktemp("bare")
    path, home, checkout = folder / "bin", folder / "home", folder / "checkout"
    path.mkdir()
    home.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, f"{tool} is not installed"
        (path / tool).symlink_to(found)
    (path / "aws").symlink_to(AWS_CLI.absolute())
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "python"], check=True)
    python = path / "python3"  # a symbolic link would find the packages of the Python that it leads to
    python.write_text(f'#!/bin/sh\nexec "{folder}/python/bin/python3" "$@"\n')
    python.chmod(0o755)
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines()]
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(".git", *ignored))
    return Shell(path, home, checkout)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A local system that has classified its example photo, with the model whose answers the pages show if possible."""
    model = ("--model", str(comparable_model()))
    with running(free_port(), free_port(), tmp_path_factory.mktemp("system") / "output", *model) as started:
        started.classification("listing-42/front.jpg", status("SUCCEEDED"))
        yield started


@pytest.fixture
def account(tmp_path: Path) -> Iterator[System]:
    """Another one, whose bucket and table can be deleted, and whose AWS holds the stack."""
    with running(free_port(), free_port(), tmp_path / "output") as started:
        create_stack(started)
        yield started


def test_the_commands_of_the_pages_work_as_printed(shell: Shell, system: System) -> None:
    """In the pages' order: docs/api.md confirms the label of a photo that README shows unconfirmed."""
    for block in LOCAL_BLOCKS:
        check_block(block, shell, system)


def check_block(block: Block, shell: Shell, system: System) -> None:
    """Run a block, and compare each answer with the one that is shown."""
    script = block.script.replace("http://127.0.0.1:8000", system.url).replace("http://127.0.0.1:5000", system.aws_url)
    deadline = time.monotonic() + TIMEOUT
    while '"PENDING"' in (output := shell.run(script)) and time.monotonic() < deadline:
        time.sleep(0.5)  # a reader would ask again, too
    for command, answer in zip(block.commands, output.split(END_OF_COMMAND), strict=False):
        assert_as_shown(command, answer)


def assert_as_shown(command: Command, answer: str) -> None:
    """Compare JSON by its shape, and text by its words, but for the verdicts of a model that is not here."""
    if not command.shown:
        assert '"error": {"code"' not in answer, f"{command.text}\n{answer}"
        return
    try:
        shown = read_json(command.shown)
    except ValueError:
        shown_text = re.escape(comparable_text(command.shown)).replace(MORE, ".*")
        # The AWS CLI reports progress before.
        assert re.search(rf"{shown_text}\Z", answer.strip()), f"{command.text}\n{answer}"
    else:
        actual = json.loads(answer)
        assert shape(shortened(actual, shown)) == shape(shown), f"{command.text}\n{answer}"


def read_json(text: str) -> Any:
    """Read JSON in which numbers can end with "…", and lists and objects with ", …". Raise `ValueError`."""
    text = re.sub(r"(?<=\d)…(?=[,}\]])", "", text)
    text = re.sub(r", …(?=\])", f', "{MORE}"', text)
    return json.loads(re.sub(r", …(?=\})", f', "{MORE}": "{MORE}"', text))


def shortened(actual: Any, shown: Any) -> Any:
    """Return the actual content, with "…" in place of the items and fields that are shown as "…"."""
    if isinstance(actual, dict) and isinstance(shown, dict):
        fields = {name: shortened(value, shown.get(name)) for name, value in actual.items()}
        if MORE not in shown:
            return fields
        return {name: value for name, value in fields.items() if name in shown} | {MORE: MORE}
    if isinstance(actual, list) and isinstance(shown, list):
        is_short = shown[-1:] == [MORE]
        items = [*actual[: len(shown) - 1], MORE] if is_short else actual
        return [shortened(item, shown[number]) if number < len(shown) else item for number, item in enumerate(items)]
    return actual


@pytest.mark.parametrize(
    ("shown", "answer"),
    [
        ('{"a": 0.9…}', '{"a": 0.95}'),
        ('{"a": "…"}', '{"a": "text"}'),
        ('{"a": [1, …]}', '{"a": [1, 2, 3]}'),
        ('{"a": [{"b": 1, …}]}', '{"a": [{"b": 1, "c": 2}]}'),
    ],
)
def test_a_shortened_answer_is_as_shown(shown: str, answer: str) -> None:
    assert_as_shown(Command("", shown), answer)


@pytest.mark.parametrize(
    ("shown", "answer"),
    [
        ('{"a": 0.9…}', '{"a": "0.95"}'),
        ('{"a": []}', '{"a": [1]}'),
        ('{"a": [1, …]}', '{"a": []}'),
        ('{"a": [1]}', '{"a": [1, 2]}'),
        ('{"a": [{"b": 1}]}', '{"a": [{"b": 1, "c": 2}]}'),
        ('{"a": [{"b": 1, …}]}', '{"a": [{"c": 2}]}'),
        ('{"a": null}', '{"a": "text"}'),
    ],
)
def test_another_answer_is_not_as_shown(shown: str, answer: str) -> None:
    with pytest.raises(AssertionError):
        assert_as_shown(Command("", shown), answer)


def test_the_commands_that_the_local_system_prints_work(shell: Shell, system: System) -> None:
    commands = re.findall(r"^ *\$ (.+)$", system.output.read_text(), re.MULTILINE)

    assert commands
    assert '"error": {"code"' not in shell.run("\n".join(commands))


def test_the_commands_for_an_aws_account_work_in_moto(shell: Shell, account: System) -> None:
    """All blocks of a page run in one shell, because the later ones use variables of the first."""
    checked_only = "|".join(f'"{call}"' for call in NOT_IN_MOTO)
    check = f'case "$1 $2" in {checked_only}) set -- "$@" --generate-cli-skeleton output;; esac'
    aws = f'aws() {{ {check}; command aws --endpoint-url {account.aws_url} "$@"; }}'
    for page in PAGES:
        blocks = [block.script for block in ACCOUNT_BLOCKS if block.page == page.name]
        script = "\n".join([aws, *blocks]).replace("--function-version 41", "--function-version 1")

        output = shell.run(script, **CREDENTIALS)

        assert '"error": {"code"' not in output


def create_stack(system: System) -> None:
    """Create a stack in moto whose outputs and resources the commands can read.

    moto's CloudFormation has no API keys, deployments or image functions. A table takes the place of each: its physical
    id is its name.
    """
    key = system.client("apigateway").create_api_key(name="key", value="0123456789abcdefghij")["id"]
    function = create_function(system)
    codedeploy = system.client("codedeploy")
    codedeploy.create_application(applicationName="application", computePlatform="Lambda")
    role = "arn:aws:iam::123456789012:role/deployment"
    codedeploy.create_deployment_group(applicationName="application", deploymentGroupName="group", serviceRoleArn=role)
    outputs = dict.fromkeys(read_template()["Outputs"], "arn:aws:iam::123456789012:role/any") | {
        "ApiUrl": system.url,
        "BucketName": "photos",
        "TableName": "classifications",
        "DeadLetterQueueUrl": system.client("sqs").create_queue(QueueName="any")["QueueUrl"],
    }
    resources = {
        "ApiApiKey": key,
        "ApiUsagePlan": "plan",
        "ClassifierFunction": function,
        "ServerlessDeploymentApplication": "application",
        "ClassifierFunctionDeploymentGroup": "group",
    }
    template = {
        "Resources": {name: table(physical_id) for name, physical_id in resources.items()},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    system.client("cloudformation").create_stack(StackName="clothes-classifier", TemplateBody=json.dumps(template))


def table(name: str) -> dict[str, Any]:
    """Return a resource that is a DynamoDB table."""
    return {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "TableName": name,
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
    }


def create_function(system: System) -> str:
    """Create a function with a version and the alias `live`. Return its name."""
    system.client("iam").create_role(RoleName="function", AssumeRolePolicyDocument="{}")
    client, function = system.client("lambda"), {"FunctionName": "function"}
    image = {"ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/classifier:latest"}
    client.create_function(**function, PackageType="Image", Code=image, Role="arn:aws:iam::123456789012:role/function")
    version = client.publish_version(**function)["Version"]
    client.create_alias(**function, Name="live", FunctionVersion=version)
    return function["FunctionName"]


def test_the_commands_read_outputs_that_the_template_has() -> None:
    """A name that does not exist would be an empty text, without an error."""
    named = {name for page in PAGES for name in re.findall(r"\$\(output (\w+)\)", page.read_text())}

    assert named
    assert named <= read_template()["Outputs"].keys()


@pytest.mark.parametrize("block", OTHER_BLOCKS, ids=lambda block: f"{block.page}: {block.commands[0].text[:40]}")
def test_commands_that_cannot_run_here_are_valid_shell(block: Block) -> None:
    script = "\n".join(command.text for command in block.commands)
    done = subprocess.run(["bash", "-n", "-c", script], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_blocks_that_cannot_run_here_exist() -> None:
    assert [place for place in NOT_HERE if not any(block.is_at(*place) for block in BLOCKS)] == []


def test_the_tests_that_run_blocks_elsewhere_exist() -> None:
    named = {path for reason in NOT_HERE.values() for path in re.findall(r"tests/[\w/]+\.py", reason)}

    assert named
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_no_commands_hide_in_other_blocks() -> None:
    kinds = {
        kind
        for page in PAGES
        for kind in re.findall(r"^ *```(\S*)\n.*?\n *```$", page.read_text(), re.MULTILINE | re.DOTALL)
    }

    assert kinds <= {"sh", "console", "json", "mermaid", ""}


def test_curl_s_options_are_those_of_old_versions() -> None:
    words = {word for block in BLOCKS for command in block.commands for word in command.text.split()}

    assert "curl" in words
    assert words & NEW_CURL_OPTIONS == set()


def test_every_request_of_the_api_is_shown() -> None:
    description = json.loads((ROOT / "functions" / "classifier" / "openapi.json").read_text())
    page = API_PAGE.read_text()

    for path in description["paths"]:
        spelled = r"[^\s`]+".join(map(re.escape, re.split(r"{\w+}", path)))
        assert re.search(spelled, page), path


def test_every_error_is_explained() -> None:
    codes = set(re.findall(r"^\| `(\w+)` \|", API_PAGE.read_text(), re.MULTILINE))

    assert codes == {kind.code for kind in error_kinds()}
