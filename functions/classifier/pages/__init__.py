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
    html, script, style = _read(name)
    policy = (
        f"default-src 'none'; script-src {script}; style-src {style}; img-src blob: data:; "
        f"connect-src 'self' {uploads}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html.replace(_PLACE, escape(prefix)), policy


@cache
def _read(name: str) -> tuple[str, str, str]:
    """A page, and the hashes of its script and its style."""
    html = Path(__file__).with_name(f"{name}.html").read_text(encoding="utf-8")
    return html, _hashes(html, "script"), _hashes(html, "style")


def _hashes(html: str, kind: str) -> str:
    """Of the page's own scripts or styles, by which the policy tells them from what others may bring in."""
    found = re.findall(rf"<{kind}>(.*?)</{kind}>", html, re.DOTALL)
    digests = (hashlib.sha256(content.encode()).digest() for content in found)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
