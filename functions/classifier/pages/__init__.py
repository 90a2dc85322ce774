"""Pages for people: HTML with its style and script inside, which loads nothing from elsewhere."""

import base64
import hashlib
import re
from functools import cache
from html import escape
from pathlib import Path

_PLACE = "{{api}}"


def page(name: str, prefix: str, uploads: str = "") -> tuple[str, str]:
    """A page's HTML and its content security policy.

    `prefix` stands before the API's paths; `uploads` is the origin that photos are posted to.
    """
    html = _html(name)
    hashes = {kind: " ".join(_hashes(html, kind)) for kind in ("script", "style")}
    policy = (
        f"default-src 'none'; script-src {hashes['script']}; style-src {hashes['style']}; img-src blob: data:; "
        f"connect-src 'self' {uploads}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html.replace(_PLACE, escape(prefix)), policy


@cache
def _html(name: str) -> str:
    return Path(__file__).with_name(f"{name}.html").read_text(encoding="utf-8")


def _hashes(html: str, kind: str) -> list[str]:
    """Of the page's own scripts or styles, by which the policy tells them from what others may bring in."""
    found = re.findall(rf"<{kind}>(.*?)</{kind}>", html, re.DOTALL)
    digests = (hashlib.sha256(content.encode()).digest() for content in found)
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
