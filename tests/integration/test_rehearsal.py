"""`make run FAIL=…` raises the alarms that its table names, and docs/rehearsal.md says what people see then.

All local systems run at the same time, each with one fault. Each gets the same requests.
"""

import json
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from local.console import format_record
from local.lambda_log import format_report
from local.rehearsal import FAULTS
from local.template import resource_properties
from tests.support.alarms import ALARMS, Value, alarms_raised, filter_log
from tests.support.drawings import photo
from tests.support.local_system import System, start, wait_until
from tests.support.paths import ROOT
from tests.support.ports import free_port

PAGE = (ROOT / "docs" / "rehearsal.md").read_text(encoding="utf-8")
NO_FAULT = "none"
SLOW = ["table-throttled", "bucket-slow"]  # they start first, and wait while the others start
LISTING, LABEL = "listing-43", "pants"
UPLOADED = f"{LISTING}/front.jpg"
MAX_SECONDS = 120  # an event is in the dead-letter queue after 30 seconds, or later on a loaded machine

PERIODS = {60: "1 minute", 300: "5 minutes", 3600: "1 hour", 86400: "1 day"}
Rehearsals = Mapping[str, "Future[Rehearsal]"]


@dataclass(frozen=True)
class Rehearsal:
    """What was seen of a local system with a fault. `answers` maps requests to the status and code of their answers."""

    answers: dict[str, str]
    log: list[dict[str, Any]]
    dead_letters: int

    @property
    def values(self) -> list[Value]:
        """The metrics that AWS and the function would have measured."""
        return [*measure_queues(self.dead_letters), *(value for line in self.log for value in measure(line))]

    @property
    def lines(self) -> list[str]:
        """The plain lines of the function and of Lambda, and the access log."""
        reports = [line["record"] for line in self.log if line.get("type") == "platform.report"]
        return [
            *(format_record(line) for line in self.log if "level" in line),
            *(format_report(report) for report in reports if "errorType" in report),
            *(json.dumps(line) for line in self.log if "method" in line),
        ]


@pytest.fixture(scope="module")
def rehearsals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsals]:
    """The rehearsal of each fault, and one without a fault."""
    running = {}
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(len(FAULTS) + 1))
        for names in SLOW, [name for name in [NO_FAULT, *FAULTS] if name not in SLOW]:
            systems = {name: launch(name, tmp_path_factory.mktemp(name) / "output") for name in names}
            for system in systems.values():
                stack.callback(system.process.kill)
            for name, system in systems.items():
                wait_until(lambda: has_started(system), bool, MAX_SECONDS)  # noqa: B023
                running[name] = pool.submit(observe, system)
        yield running


def launch(name: str, output: Path) -> System:
    """Start a local system with the fault. It may not answer yet."""
    port, aws_port = free_port(), free_port()
    options = [] if name == NO_FAULT else ["--fail", name]
    process = start(port, aws_port, output, "--log", "json", *options)
    return System(process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{aws_port}", output)


def observe(system: System) -> Rehearsal:
    """Upload a photo, wait until its event is dealt with, send requests, and end the system."""
    system.upload(UPLOADED, photo(LABEL))
    wait_until(lambda: count_messages(system, "uploads", "failures"), lambda count: count == 0, MAX_SECONDS)
    answers = send_requests(system)
    dead_letters = count_messages(system, "dead-letters")
    system.process.send_signal(signal.SIGINT)
    assert system.process.wait(30) == 0
    return Rehearsal(answers, read_log(system.output.read_text()), dead_letters)


def has_started(system: System) -> bool:
    assert system.process.poll() is None, system.output.read_text()
    return "Running." in system.output.read_text()


def count_messages(system: System, *queues: str) -> int:
    """Return how many messages are in the queues, visible or not."""
    sqs = system.client("sqs")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    urls = [sqs.get_queue_url(QueueName=queue)["QueueUrl"] for queue in queues]
    attributes = [sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"] for url in urls]
    return sum(int(count) for found in attributes for count in found.values())


def send_requests(system: System) -> dict[str, str]:
    """Send the requests of a storefront, a client of the tutorials and a seller. Return what each got."""
    requests_by_name: dict[str, Callable[[], requests.Response]] = {
        "GET /classifications/{id}": lambda: system.get(f"/classifications/{UPLOADED}"),
        "POST /predict": lambda: requests.post(f"{system.url}/predict", data=photo(LABEL), timeout=60),
        "GET /health": lambda: system.get("/health"),
        "PUT /listings/confirmations/{id}": lambda: confirm_as_seller(system),
    }
    with ThreadPoolExecutor() as pool:
        answers = {name: pool.submit(send) for name, send in requests_by_name.items()}
    return {name: describe(answer.result()) for name, answer in answers.items()}


def confirm_as_seller(system: System) -> requests.Response:
    """Confirm the right label with a token of the photo's listing. The shop gets it with another photo's form."""
    files = [{"name": "back.jpg", "content_type": "image/jpeg"}]
    content: dict[str, Any] = {"files": files, "batch_id": LISTING}
    made = requests.post(f"{system.url}/uploads", json=content, timeout=60)
    if not made.ok:
        return made
    token = {"Authorization": f"Bearer {made.json()['token']}"}
    path = f"/listings/confirmations/{UPLOADED}"
    return requests.put(system.url + path, json={"label": LABEL}, headers=token, timeout=60)


def describe(answer: requests.Response) -> str:
    """Return the HTTP status, with the status of the record and the code of the error if there are such."""
    content = answer.json()
    code = (content.get("error") or {}).get("code")
    return " ".join(filter(None, [str(answer.status_code), content.get("status"), code]))


def read_log(output: str) -> list[dict[str, Any]]:
    """Return the JSON objects in the output. Two of them can be in one line: threads print at the same time."""
    decoder, found = json.JSONDecoder(), []
    position = output.find("\n{")
    while position >= 0:
        line, end = decoder.raw_decode(output, output.index("{", position))
        found.append(line)
        position = output.find("{", end)
    return found


def measure(line: dict[str, Any]) -> list[Value]:
    """Return the values of metrics that AWS takes from what the line of the log says."""
    if "_aws" in line:
        return [
            Value(metrics["Namespace"], metric["Name"], value, {name: line[name] for name in metrics["Dimensions"][0]})
            for metrics in line["_aws"]["CloudWatchMetrics"]
            for metric in metrics["Metrics"]
            for value in line[metric["Name"]]
        ]
    if line.get("type") == "platform.report":
        return [
            Value("AWS/Lambda", "Invocations", 1),
            Value("AWS/Lambda", "Errors", line["record"]["status"] == "error"),
            Value("AWS/Lambda", "Duration", line["record"]["metrics"]["durationMs"]),
        ]
    if "method" in line:
        counts = [Value("AWS/ApiGateway", "Count", 1), Value("AWS/ApiGateway", "5XXError", line["status"] >= 500)]
        return [*counts, *filter_log(line)]
    return []


def measure_queues(dead_letters: int) -> list[Value]:
    """Return the values of the metrics of the queues.

    A dead letter was received five times, with a visibility timeout after each. SQS no longer counts the age of a
    message after its third receive, so it gets as old as two timeouts. The function received each failed event at once,
    so none of them was visible.
    """
    age = 2 * resource_properties("FailureQueue")["VisibilityTimeout"] if dead_letters else 0
    failures, dead = ({"QueueName": f"{queue}.QueueName"} for queue in ("FailureQueue", "DeadLetterQueue"))
    return [
        Value("AWS/SQS", "ApproximateAgeOfOldestMessage", age, failures),
        Value("AWS/SQS", "ApproximateNumberOfMessagesVisible", 0, failures),
        Value("AWS/SQS", "ApproximateNumberOfMessagesVisible", dead_letters, dead),
    ]


def section(heading: str) -> str:
    """Return the section of the page with this heading."""
    found = re.search(rf"^#+ {heading}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/rehearsal.md has no section {heading}"
    return found[1]


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the section's table, without backticks, below its head."""
    lines = re.findall(r"^\|(.*)\|$", section(heading), re.MULTILINE)
    return [[cell.strip(" `") for cell in line.split("|")] for line in lines[2:]]


def describe_evaluation(alarm: dict[str, Any]) -> str:
    """Return over which periods CloudWatch evaluates the alarm."""
    period = alarm.get("Period") or alarm["Metrics"][1]["MetricStat"]["Period"]
    periods = alarm["EvaluationPeriods"]
    return f"{alarm.get('DatapointsToAlarm', periods)} of {periods} × {PERIODS[period]}"


def test_without_a_fault_no_alarm_changes_to_alarm(rehearsals: Rehearsals) -> None:
    rehearsal = rehearsals[NO_FAULT].result()

    assert alarms_raised(rehearsal.values) == set()
    assert rehearsal.answers["GET /classifications/{id}"] == "200 SUCCEEDED"


@pytest.mark.parametrize("fault", FAULTS)
def test_the_alarms_of_a_fault_and_no_others_change_to_alarm(fault: str, rehearsals: Rehearsals) -> None:
    assert alarms_raised(rehearsals[fault].result().values) == FAULTS[fault].alarms & ALARMS.keys()


@pytest.mark.parametrize("fault", FAULTS)
def test_clients_get_what_the_page_says(fault: str, rehearsals: Rehearsals) -> None:
    shown = {name: answers for name, *answers in rows("What clients get")}

    assert shown[fault] == list(rehearsals[fault].result().answers.values())[:3]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_log_has_the_lines_of_the_page(fault: str, rehearsals: Rehearsals) -> None:
    blocks = re.findall(r"^```\n(.*?)\n```$", section(fault), re.MULTILINE | re.DOTALL)
    lines = rehearsals[fault].result().lines

    assert blocks
    for shown in "\n".join(blocks).splitlines():
        # The percentages on the page are of another model than that of the tests.
        pattern = ".*".join(re.escape(part) for part in re.split(r"…|(?<= )\d+(?=%)", shown))
        assert any(re.fullmatch(pattern, line) for line in lines), f"{shown} is not in {lines}"


@pytest.mark.parametrize("fault", FAULTS)
def test_the_page_says_what_breaks_and_links_to_the_alarms(fault: str) -> None:
    text = section(fault)
    links = re.findall(r"\[(\w+)\]\(operations\.md#(\w+alarm)\)", text)

    assert text.strip().startswith(FAULTS[fault].breaks)
    assert {alarm for alarm, _ in links} == FAULTS[fault].alarms
    assert [anchor for alarm, anchor in links if anchor != alarm.lower()] == []


def test_the_page_says_when_each_alarm_changes() -> None:
    shown = {alarm: evaluation for alarm, evaluation, *_ in rows("When the alarms change")}

    assert shown.keys() == frozenset().union(*(fault.alarms for fault in FAULTS.values()))
    assert {
        alarm: describe_evaluation(ALARMS[alarm]) for alarm in shown.keys() & ALARMS.keys()
    }.items() <= shown.items()
