"""The HTML pages. Each contains its style and its script, and loads nothing from other servers."""

import base64
import hashlib
import re
from functools import cache
from html import escape
from pathlib import Path

_FOLDER = Path(__file__).parent
_FILE = re.compile(r"\{\{(\w+\.(?:css|js))\}\}")


def page(name: str, prefix: str, uploads: str = "", embedders: str = "'none'", **values: object) -> tuple[str, str]:
    """Return a page's HTML and its content security policy.

    `prefix` is the prefix of the API's paths; `uploads` is the origin to which photos are posted; `embedders` are the
    origins whose pages may embed this one. Further values replace `{{their name}}` in the HTML.
    """
    html, script, style = _read(name)
    policy = (
        f"default-src 'none'; script-src {script}; style-src {style}; img-src blob: data:; "
        f"connect-src 'self' {uploads}; base-uri 'none'; form-action 'none'; frame-ancestors {embedders}"
    )
    for placeholder, value in {"api": prefix, **values}.items():
        html = html.replace(f"{{{{{placeholder}}}}}", escape(str(value)))
    return html, policy


@cache
def _read(name: str) -> tuple[str, str, str]:
    """Return a page's HTML with its style and script in it, the hashes of its scripts, and those of its styles."""
    html = _FILE.sub(lambda found: _text(found[1]), _text(f"{name}.html"))
    return html, _hashes(html, "script"), _hashes(html, "style")


def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _hashes(html: str, tag: str) -> str:
    """Return the hashes of the page's scripts or styles. With them the policy allows these and no injected ones."""
    elements = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    digests = (hashlib.sha256(content.encode()).digest() for content in elements)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
