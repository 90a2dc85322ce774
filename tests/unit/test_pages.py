"""The pages' headers and escaping, and that pages load nothing from other servers."""

import re
from pathlib import Path

import pytest

from classifier.pages import page
from tests.support.api import Api
from tests.support.paths import ROOT

FILES = sorted((ROOT / "functions" / "classifier" / "pages").glob("*.html"))


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_has_a_strict_content_security_policy(api: Api, path: str) -> None:
    answer = api.request("GET", path)

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["script-src"])
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["style-src"])


def test_the_seller_s_page_may_connect_only_to_the_api_and_the_bucket(api: Api) -> None:
    files = [{"name": "a.jpg", "content_type": "image/jpeg"}]
    (form,) = api.request("POST", "/uploads", {"files": files}).json["items"]

    policy = api.request("GET", "/").headers["content-security-policy"]

    (allowed,) = re.findall(r"connect-src 'self' (\S+);", policy)
    assert form["url"].startswith(f"{allowed}/")
    assert "connect-src 'self' ;" in api.request("GET", "/docs").headers["content-security-policy"]


@pytest.mark.parametrize("stage", [None, "prod"])
def test_a_page_has_the_stage_s_prefix_of_the_api(api: Api, stage: str | None) -> None:
    body = api.request("GET", "/", stage=stage).body

    assert f'<meta name="api" content="{"/prod" if stage else ""}">' in body


def test_the_prefix_in_a_page_is_escaped() -> None:
    html, _ = page("seller", '"><script>')

    assert '"><script>' not in html.partition("<style>")[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_page_loads_nothing_from_other_servers(file: Path) -> None:
    text = file.read_text(encoding="utf-8")

    assert not re.search(r"""(src|href)=["'](https?:)?//""", text)
    assert not re.search(r"@import|url\(", text)
    assert "innerHTML" not in text
    assert " style=" not in text
