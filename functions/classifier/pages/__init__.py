"""The HTML pages. Each contains its style and its script, and loads nothing from other servers."""

import base64
import hashlib
import re
from functools import cache
from html import escape
from pathlib import Path

_PREFIX_PLACEHOLDER = "{{api}}"


def page(name: str, prefix: str, uploads: str = "") -> tuple[str, str]:
    """Return a page's HTML and its content security policy.

    `prefix` is the prefix of the API's paths; `uploads` is the origin to which photos are posted.
    """
    html, script, style = _read(name)
    policy = (
        f"default-src 'none'; script-src {script}; style-src {style}; img-src blob: data:; "
        f"connect-src 'self' {uploads}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html.replace(_PREFIX_PLACEHOLDER, escape(prefix)), policy


@cache
def _read(name: str) -> tuple[str, str, str]:
    """Return a page's HTML, the hashes of its scripts, and the hashes of its styles."""
    html = Path(__file__).with_name(f"{name}.html").read_text(encoding="utf-8")
    return html, _hashes(html, "script"), _hashes(html, "style")


def _hashes(html: str, tag: str) -> str:
    """Return the hashes of the page's scripts or styles. With them the policy allows these and no injected ones."""
    elements = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    digests = (hashlib.sha256(content.encode()).digest() for content in elements)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
