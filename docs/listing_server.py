"""A shop's server, reduced to the part that sends sellers to the classifier's page. See docs/api.md.

A real shop also stores which listing belongs to which seller. On AWS, set CLASSIFIER_API_KEY to the API key.
"""

import json
import os
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

PLACEHOLDER = {"files": [{"name": "placeholder.jpg", "content_type": "image/jpeg"}]}
FORM = b'<!doctype html><title>Shop</title><form method="post" action="/sell"><button>Sell something</button></form>'


def make_listing(api: str) -> tuple[str, str]:
    """Return the id of a new listing without photos, and the token for its seller. Raise `URLError`."""
    listing = json.loads(call("POST", f"{api}/uploads", PLACEHOLDER))
    call("DELETE", f"{api}/classifications/{quote(listing['items'][0]['id'])}")
    return listing["batch_id"], listing["token"]


def call(method: str, url: str, content: object = None) -> bytes:
    """Send a request with the shop's API key, which sellers never see. Return the body of the answer."""
    headers = {"Content-Type": "application/json", "x-api-key": os.environ.get("CLASSIFIER_API_KEY", "")}
    data = None if content is None else json.dumps(content).encode()
    with urlopen(Request(url, data, headers, method=method), timeout=30) as answer:  # noqa: S310 - the shop's own URL
        return bytes(answer.read())


class Shop(BaseHTTPRequestHandler):
    """Answers `GET` with a button, and `POST /sell` with a redirect to the seller's page of a new listing."""

    api = "http://127.0.0.1:8000"

    def do_GET(self) -> None:
        """Show the button. This is also where the seller comes back to."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(FORM)

    def do_POST(self) -> None:
        """Send the seller to the page. What is after `#` stays in the browser: no server logs the token."""
        batch_id, token = make_listing(self.api)
        fields = {"listing": batch_id, "token": token, "return": f"http://{self.headers['Host']}/"}
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", f"{self.api}/#{urlencode(fields)}")
        self.end_headers()


if __name__ == "__main__":
    if len(sys.argv) != 3:  # noqa: PLR2004 - the address of the API, and the port of this server
        sys.exit("Usage: python3 docs/listing_server.py API_URL PORT")
    Shop.api = sys.argv[1].rstrip("/")
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Shop).serve_forever()
