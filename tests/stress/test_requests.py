"""Requests of strangers to the API: each answer is clear, fits the OpenAPI description, and leaks nothing."""

import base64
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from classifier import api as api_module
from classifier import app, request_parsing
from classifier.classification import Classification, Source, Status
from classifier.services import Services
from classifier.telemetry import logger
from local.function import Context
from tests.support.api import Api
from tests.support.drawings import encoded, garment, photo
from tests.support.environment import CREDENTIALS
from tests.support.events import api_event
from tests.support.listings import record, store
from tests.support.local_system import System, running
from tests.support.paths import ROOT
from tests.support.photo_server import PhotoServer
from tests.support.ports import free_port
from tests.support.scale import Scale
from tests.support.services import replace_parts

Record = Callable[[str, object], None]


# Against its own description, over HTTP


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(free_port(), free_port(), tmp_path_factory.mktemp("system") / "output") as started:
        yield started


def schemathesis(
    document: str, system: System, photo_url: str, folder: Path, examples: int
) -> "subprocess.CompletedProcess[str]":
    """Run all checks of schemathesis against the system. `folder` is for the files that it writes."""
    config = Path(__file__).with_name("schemathesis.toml")
    files = {"files": [{"name": "front.jpg", "content_type": "image/jpeg"}]}
    token = requests.post(f"{system.url}/uploads", json=files, timeout=30).json()["token"]
    # Schemathesis expects 401 without a token. This API answers 403, as AWS does without an API key; the check
    # `ignored_auth` sees whether it does.
    options = ["--checks", "all", "--exclude-checks", "missing_required_header"]
    options += ["--max-examples", str(examples), "--seed", "1", "--continue-on-failure", "--no-color"]
    return subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
            *("run", document, "--url", system.url, *options),
        ],
        cwd=folder,
        env=os.environ
        | {"PHOTO_URL": photo_url, "SYSTEM_URL": system.url, "LISTING_TOKEN": token, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_answer_fits_the_description(
    system: System, photo_server: PhotoServer, tmp_path: Path, scale: Scale, record_property: Record
) -> None:
    url = photo_server.serve("/t-shirt.jpg", photo())

    done = schemathesis(f"{system.url}/openapi.json", system, url, tmp_path, scale.of(60, short=3))

    assert done.returncode == 0, done.stdout
    cases = re.search(r"([\d,]+) generated, ([\d,]+) passed", done.stdout)
    assert cases, done.stdout
    record_property("requests by schemathesis", int(cases[1].replace(",", "")))
    assert "Traceback" not in system.output.read_text()


def test_schemathesis_finds_an_answer_that_does_not_fit(
    system: System, photo_server: PhotoServer, tmp_path: Path
) -> None:
    """The description is wrong here, in one of two paths."""
    document = json.loads((ROOT / "functions" / "classifier" / "openapi.json").read_text())
    document["components"]["schemas"]["Health"]["properties"]["status"]["const"] = "fine"
    document["paths"] = {path: document["paths"][path] for path in ("/health", "/model")}
    (tmp_path / "openapi.json").write_text(json.dumps(document))

    done = schemathesis(str(tmp_path / "openapi.json"), system, photo_server.url("/"), tmp_path, 1)

    assert done.returncode == 1
    assert "GET /health" in done.stdout
    assert "Response violates schema" in done.stdout
    assert "GET /model" not in done.stdout


def thoroughly(examples: int) -> settings:
    """Return settings with which hypothesis searches the same examples each time, without a deadline."""
    return settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


# Ids

AWKWARD = [
    "a.jpg",
    "a/b.jpg",
    "a%2Fb.jpg",
    "a%252Fb.jpg",
    "../a.jpg",
    "a/../b.jpg",
    ".",
    "..",
    "a\x00b.jpg",
    "a b.jpg",
    "a+b.jpg",
    "A.jpg",
    "a.jpg ",
    "é.jpg",
    "e\u0301.jpg",
    "\ufffd.jpg",
    "uploads/a.jpg",
    "/a.jpg",
    "a//b.jpg",
    "é" * 508,
    "\U0001f455" * 254,
]
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda identifier: quote(identifier, safe="%/:?#[]@!$&'()*+,;="),
    "quoted": quote,
    "slashes too": lambda identifier: quote(identifier, safe=""),
    "all of it": lambda identifier: "".join(f"%{byte:02x}" for byte in identifier.encode()),
}


@pytest.fixture
def known(services: Services) -> Services:
    """The services, with a record for each awkward id."""
    now = datetime.now(UTC)
    store(services, [Classification(identifier, Status.PENDING, Source.S3, now, {}) for identifier in AWKWARD])
    return services


def paths() -> st.SearchStrategy[str]:
    """Return a strategy for spellings of ids that exist and of similar ones."""
    similar = st.sampled_from(AWKWARD) | st.text(min_size=1, max_size=12) | st.text("a./%25F", min_size=1, max_size=12)
    spelled = st.tuples(similar, st.sampled_from(sorted(SPELLINGS)))
    any_bytes = st.binary(min_size=1, max_size=8).map(quote)
    return spelled.map(lambda pair: SPELLINGS[pair[1]](pair[0])) | any_bytes


def is_misread(api: Api, path: str) -> bool:
    """Tell whether the API answers otherwise than with the record of the id in the path, or 404."""
    answer = api.request("GET", f"/classifications/{path}")
    try:
        identifier = unquote(path, errors="strict")
    except UnicodeDecodeError:
        identifier = ""
    if identifier in AWKWARD:
        return not (answer.status == 200 and answer.json["id"] == identifier)
    return not (answer.status == 404 and answer.json["error"]["code"] == "not_found")


def test_no_spelling_of_an_id_leads_to_another_record(known: Services, scale: Scale, record_property: Record) -> None:
    tried = 0

    @thoroughly(scale.of(10_000, short=300))
    @given(paths())
    def search(path: str) -> None:
        nonlocal tried
        tried += 1
        assert not is_misread(Api(known), path)

    search()
    record_property("spellings of ids", tried)


# Tokens

THEIRS = "listing-1"  # of `record(1)` and `record(4)`
FILES = {"files": [{"name": "front.jpg", "content_type": "image/jpeg"}]}
ROUTES = ["/batches/{}", "/batches/{}/confirmation", "/uploads", "/classifications", "/nothing"]
ROUTES += [f"/{name}/{{}}/1.jpg" for name in ("classifications", "confirmations", "thumbnails")]


def ways_out(mine: str) -> st.SearchStrategy[tuple[str, str, Any]]:
    """Return a strategy for requests with the token of a listing that try to reach another one."""
    names = st.sampled_from(
        [mine, THEIRS, f"{mine}/..", f"../{THEIRS}", f"{mine}/../{THEIRS}", "..", ".", "/", "//", ""]
    )
    joints = st.sampled_from(["/", "", "%2F", "%252F", "\\", ";", "?", "#", "%00", ",", "//", "\u2215"])
    texts = st.tuples(names, joints, names).map("".join) | names
    spelled = st.tuples(texts, st.sampled_from(sorted(SPELLINGS))).map(lambda pair: SPELLINGS[pair[1]](pair[0]))
    outer = st.sampled_from(["", "/..", "//", "/.", "/batches/..", f"/batches/{mine}/..", "/%2e%2e", "/listings"])
    crafted = st.tuples(outer, st.sampled_from(ROUTES), spelled).map(lambda parts: parts[0] + parts[1].format(parts[2]))
    plain = st.sampled_from([route.format(THEIRS) for route in ROUTES])
    routes = plain | crafted
    methods = st.sampled_from(["GET", "PUT", "DELETE", "POST", "HEAD", "OPTIONS", "PATCH"])
    contents = st.sampled_from([None, {"label": "pants"}, FILES, {**FILES, "batch_id": THEIRS}])
    return st.tuples(methods, routes, contents)


def try_to_reach_another_listing(services: Services, tries: int) -> int:
    """Raise `AssertionError` if a request does. Return the number of requests."""
    store(services, [record(1), record(4)])
    api, tried = Api(services), 0
    created = api.request("POST", "/uploads", FILES).json
    token = {"Authorization": f"Bearer {created['token']}"}
    before = api.request("GET", f"/batches/{THEIRS}").json
    secrets = [photo["created_at"] for photo in before["items"]]

    @settings(thoroughly(tries), phases=[Phase.generate], report_multiple_bugs=False)
    @given(ways_out(created["batch_id"]))
    def search(request: tuple[str, str, Any]) -> None:
        nonlocal tried
        tried += 1
        method, path, content = request
        answer = api.request(method, f"/listings{path}", content, headers=token)
        assert not any(secret in answer.body for secret in secrets), answer.body
        assert THEIRS not in (answer.body if answer.status < 300 else ""), answer.body

    search()
    assert api.request("GET", f"/batches/{THEIRS}").json == before
    return tried


def test_no_request_with_a_token_reaches_another_listing(
    services: Services, scale: Scale, record_property: Record
) -> None:
    tries = try_to_reach_another_listing(services, scale.of(10_000, short=300))

    record_property("tries to reach another listing", tries)


def test_a_request_reaches_another_listing_if_the_token_s_scope_is_not_checked(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_module, "check_scope", lambda *_: None)

    with pytest.raises(AssertionError, match=THEIRS):
        try_to_reach_another_listing(services, 300)


@pytest.mark.parametrize(
    "decode",
    [
        pytest.param(lambda text, **_: unquote(unquote(text)), id="decoded twice"),
        pytest.param(lambda text, **_: unquote(text), id="bytes that are not UTF-8 replaced"),
        pytest.param(lambda text, **_: os.path.normpath(unquote(text)), id="dots resolved"),
    ],
)
def test_an_id_that_is_decoded_in_another_way_leads_to_another_record(
    known: Services, monkeypatch: pytest.MonkeyPatch, decode: Callable[..., str]
) -> None:
    monkeypatch.setattr(request_parsing, "unquote", decode)

    spelled = [spell(identifier) for identifier in AWKWARD for spell in SPELLINGS.values()]
    assert any(is_misread(Api(known), path) for path in [*spelled, "%ff.jpg"])


# Bodies


def test_any_body_gets_a_clear_answer(api: Api, scale: Scale, record_property: Record) -> None:
    """Any bytes with any Content-Type, and any JSON, get 4xx with a code, and never 5xx, unless they are valid."""
    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["url", "files", "batch_id", "name", "content_type", "label"]) | st.text(),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
    bodies = (
        st.binary(max_size=60)
        | json_values.map(lambda value: json.dumps(value).encode())
        | st.tuples(json_values, st.sampled_from(["utf-16", "utf-32", "utf-7"])).map(
            lambda pair: json.dumps(pair[0]).encode(pair[1])
        )
        | st.sampled_from([encoded(garment("pants", (8, 8)), "PNG")]).map(lambda data: data[: len(data) // 2])
    )
    types = st.sampled_from(["application/json", "image/jpeg", "text/plain", "multipart/form-data", "", "\u00e9;;="])
    routes = [("POST", path) for path in ("/predict", "/classifications", "/uploads")]
    routes += [("PUT", "/confirmations/listing-1/1.jpg"), ("PUT", "/batches/listing-1/confirmation")]
    store(api.services, [record(1)])
    tried = 0

    @thoroughly(scale.of(5_000, short=200))
    @given(st.sampled_from(routes), bodies, types)
    def search(route: tuple[str, str], body: bytes, content_type: str) -> None:
        nonlocal tried
        tried += 1
        answer = api.request(*route, body=body, headers={"Content-Type": content_type})
        if answer.status >= 400:
            assert answer.status < 500
            assert set(answer.json) == {"error", "request_id"}
        elif route == ("POST", "/uploads"):
            assert (answer.status, set(answer.json)) == (201, {"batch_id", "token", "items"})
        else:  # {"label": null} is the only valid answer among these
            assert (route[0], answer.status, answer.json["confirmation"]["label"]) == ("PUT", 200, None)

    search()
    record_property("bodies", tried)


# Queries

LISTS = "/classifications"


def test_any_query_gets_a_clear_answer(api: Api, scale: Scale, record_property: Record) -> None:
    """Made-up cursors, cursors of other lists, and parameters of any text get 400, or records that match."""
    store(api.services, [record(number) for number in range(6)])
    cursors_given = [
        api.request("GET", LISTS, query={"limit": "1", **query}).json["next_cursor"]
        for query in ({}, {"label": "hat"}, {"status": "SUCCEEDED"})
    ]
    cursors = (
        st.sampled_from(cursors_given) | st.sampled_from(cursors_given).map(lambda cursor: cursor[:-4]) | st.text()
    )
    values = {
        "label": st.sampled_from(["hat", "dress"]) | st.text(),
        "status": st.sampled_from([*Status]) | st.text(),
        "needs_review": st.sampled_from(["true", "false"]) | st.text(),
        "confirmed": st.sampled_from(["true", "false"]) | st.text(),
        "batch": st.sampled_from(["listing-1"]) | st.text(),
        "limit": st.integers(-1, 200).map(str) | st.text(),
        "cursor": cursors,
    }
    tried = 0

    @thoroughly(scale.of(5_000, short=200))
    @given(st.fixed_dictionaries({}, optional=values))
    def search(query: dict[str, str]) -> None:
        nonlocal tried
        tried += 1
        answer = api.request("GET", LISTS, query=query)
        assert answer.status in {200, 400}, query
        for item in answer.json.get("items", []):
            assert query.get("label") in {None, item["label"]}
            assert query.get("status") in {None, item["status"]}
            assert query.get("batch") in {None, item["batch_id"]}

    search()
    record_property("queries", tried)


# Presigned forms. S3 enforces their policies, and the emulator does not, so this module does it.


def s3_admits(form: dict[str, str], file: bytes, now: datetime) -> bool:
    """Tell whether S3 accepts a posted form, after its documentation ("POST Policy", "Signature Version 4")."""
    policy = json.loads(base64.b64decode(form["policy"]))
    if now >= datetime.fromisoformat(policy["expiration"]) or not _is_signed(form):
        return False
    fields = {name.lower(): value for name, value in form.items()}
    named: set[str] = set()
    for condition in policy["conditions"]:
        parts = ["eq", *next(iter(condition.items()))] if isinstance(condition, dict) else condition
        if parts[0] == "content-length-range":
            met = parts[1] <= len(file) <= parts[2]
        else:
            name = parts[1].removeprefix("$").lower()
            named.add(name)
            value = "photos" if name == "bucket" else fields.get(name, "")
            met = value == parts[2] if parts[0] == "eq" else value.startswith(parts[2])
        if not met:
            return False
    unnamed = {name for name in fields if not name.startswith("x-ignore-")} - named
    return unnamed <= {"policy", "x-amz-signature", "file"}


def _is_signed(form: dict[str, str]) -> bool:
    key = b"AWS4" + CREDENTIALS["AWS_SECRET_ACCESS_KEY"].encode()
    for part in form["x-amz-credential"].split("/")[1:]:
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return hmac.digest(key, form["policy"].encode(), hashlib.sha256).hex() == form["x-amz-signature"]


def altered(form: dict[str, str], **changes: str | None) -> dict[str, str]:
    """Return the form with other fields; None removes a field."""
    changed = form | {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in changed.items() if value is not None}


def with_policy(form: dict[str, str], old: str, new: str) -> dict[str, str]:
    """Return the form with another policy and the old signature: only the service can sign."""
    policy = base64.b64decode(form["policy"]).decode()
    assert old in policy
    return altered(form, policy=base64.b64encode(policy.replace(old, new).encode()).decode())


FORGERIES: dict[str, Callable[[dict[str, str]], tuple[dict[str, str], bytes]]] = {
    "another's key": lambda form: (altered(form, key="uploads/listing-42/front.jpg"), b"x"),
    "a key outside": lambda form: (altered(form, key="index.html"), b"x"),
    "a folder above": lambda form: (altered(form, key=form["key"] + "/../../x"), b"x"),
    "no key": lambda form: (altered(form, key=None), b"x"),
    "a page": lambda form: (altered(form, Content_Type="text/html"), b"x"),
    "another image": lambda form: (altered(form, Content_Type="image/svg+xml"), b"x"),
    "no type": lambda form: (altered(form, Content_Type=None), b"x"),
    "nothing": lambda form: (form, b""),
    "too much": lambda form: (form, bytes(25 * 2**20 + 1)),
    "open to all": lambda form: (altered(form, acl="public-read"), b"x"),
    "a redirect": lambda form: (altered(form, success_action_redirect="https://example.com"), b"x"),
    "metadata": lambda form: (altered(form, x_amz_meta_a="b"), b"x"),
    "tags": lambda form: (altered(form, tagging="<Tagging/>"), b"x"),
    "another policy": lambda form: (with_policy(form, "image/jpeg", "text/html"), b"x"),
    "a longer life": lambda form: (with_policy(form, '"expiration": "2', '"expiration": "3'), b"x"),
    "no signature": lambda form: (altered(form, x_amz_signature=""), b"x"),
}


def request_form(api: Api) -> dict[str, str]:
    """Return the fields of a form for one photo."""
    files = [{"name": "front.jpg", "content_type": "image/jpeg"}]
    fields: dict[str, str] = api.request("POST", "/uploads", {"files": files}).json["items"][0]["fields"]
    return fields


def test_a_form_admits_the_photo_that_was_announced(api: Api) -> None:
    form, now = request_form(api), datetime.now(UTC)

    assert s3_admits(form, b"x", now)
    assert s3_admits(form, bytes(25 * 2**20), now + timedelta(minutes=59))
    assert not s3_admits(form, b"x", now + timedelta(minutes=61))


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_form_admits_nothing_else(api: Api, record_property: Record, forgery: str) -> None:
    form, file = FORGERIES[forgery](request_form(api))

    assert not s3_admits(form, file, datetime.now(UTC))
    record_property("forged forms", 1)


def test_a_form_without_its_conditions_admits_too_much(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    client = api.services.bucket.client
    presign = client.generate_presigned_post

    def presign_freely(*, Conditions: list[Any], **parameters: Any) -> Any:  # noqa: N803 - as boto3 spells it
        free = [["starts-with", "$Content-Type", ""], ["starts-with", "$key", ""]]
        return presign(Conditions=free, **parameters | {"Key": "${filename}"})

    monkeypatch.setattr(client, "generate_presigned_post", presign_freely)
    form = request_form(api)

    for forgery in ("a page", "nothing", "too much", "another's key"):
        forged, file = FORGERIES[forgery](form)
        assert s3_admits(forged, file, datetime.now(UTC))


# Logs

SECRET = "5ecretf00dfeed5ecretf00dfeed"


def log_of_everything(
    services: Services, photo_server: PhotoServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> str:
    """Return what the function logs, at level DEBUG, for events of all kinds, some of which fail."""
    caplog.set_level("DEBUG", logger=logger.name)
    good = photo_server.serve("/good.jpg", photo())
    bad = photo_server.serve("/bad.jpg", photo()[:3000])
    urls = [good, bad, photo_server.url("/missing"), "http://10.0.0.1/x", good.replace("//", f"//user:{SECRET}@")]
    urls = [f"{url}?X-Amz-Signature={SECRET}" for url in urls]
    files = {"files": [{"name": "front.jpg", "content_type": "image/jpeg"}]}
    secret_header = {"Authorization": f"Bearer {SECRET}", "x-api-key": SECRET, "Content-Type": "image/jpeg"}
    events = [
        *({"url": url} for url in urls),
        *(api_event("POST", "/predict", {"url": url}) for url in urls),
        *(api_event("POST", "/predict", body=data, headers=secret_header) for data in (photo(), photo()[:3000], b"x")),
        api_event("POST", "/uploads", files),
        api_event("GET", "/health", headers=secret_header),
        {"unknown": SECRET},
    ]
    broken = replace_parts(services, records=None)
    for event, used in [*((event, services) for event in events), *((event, broken) for event in events)]:
        monkeypatch.setattr(app, "get_services", lambda used=used: used)
        with suppress(Exception):  # Lambda reports the message of an error, which the caller sees anyway
            app.lambda_handler(event, cast("Any", Context()))
    formatter = logger.registered_formatter
    return "\n".join(formatter.format(record) for record in caplog.records)


def secrets() -> list[str]:
    """Return what a log must not contain: signatures, credentials, and photos in any form."""
    data = photo()
    pieces = [base64.b64encode(data).decode()[100:140], data[100:120].hex(), repr(data[100:120])[2:-1]]
    return [SECRET, "X-Amz-Signature", "x-amz-signature", "AWS4-HMAC", *pieces]


def test_logs_hold_no_secrets_and_no_photos(
    services: Services, photo_server: PhotoServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = log_of_everything(services, photo_server, monkeypatch, caplog)

    assert log.count("classified") >= 4
    assert "Traceback" in log, "some events must fail by an error of the service"
    assert [secret for secret in secrets() if secret in log] == []


@pytest.mark.parametrize(
    "log_carelessly",
    [
        pytest.param(lambda event, answer: logger.info("in", event=event), id="the event"),
        pytest.param(lambda event, answer: logger.info("out", answer=answer), id="the answer"),
    ],
)
def test_a_logged_event_or_answer_is_found(
    services: Services,
    photo_server: PhotoServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    log_carelessly: Callable[[Any, Any], None],
) -> None:
    dispatch = app.dispatch

    def dispatch_carelessly(event: Any, context: Any, used: Services) -> Any:
        answer = dispatch(event, context, used)
        log_carelessly(event, answer)
        return answer

    monkeypatch.setattr(app, "dispatch", dispatch_carelessly)

    log = log_of_everything(services, photo_server, monkeypatch, caplog)

    assert any(secret in log for secret in secrets())
