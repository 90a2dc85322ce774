"""Fetches a photo from a URL that a stranger sent. Limits addresses, redirects, time and bytes.

The socket connects to the address that was checked: a name is resolved once, not again between check and connection.
So a name server that changes its answer (DNS rebinding) gains nothing.
"""

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from string import punctuation
from typing import Any, NoReturn
from urllib.parse import quote, urljoin, urlsplit

from classifier.errors import ImageTooLarge, UrlNotAllowed, UrlUnreachable

_SECONDS = 10.0  # for all of it, with redirects; API Gateway gives up after 29
MAX_REDIRECTS = 3
MAX_URL_LENGTH = 2048
ALLOWED_PORTS = {80, 443, 8080, 8443}  # the web's ports; other services listen on other ports
DEFAULT_PORTS = {"http": 80, "https": 443}
_CHUNK = 64 * 1024
_REDIRECT_STATUSES = {301, 302, 303, 307, 308}
_HEADERS = {"Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity", "User-Agent": "clothes-classifier"}
_URL_SAFE = "/%:@!$&'()*+,;=~-._?[]"
HOST_PATTERN = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[0-9a-f:]+(\.[0-9]+)*")  # a name, or an IPv6 address

NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address behind a translator
ISATAP = 0x5EFE  # RFC 5214: any prefix, then this, then an IPv4 address
GLOBAL_UNICAST = IPv6Network("2000::/3")  # all public addresses of IPv6
# Networks of IPv4 and of global unicast IPv6 that are not public, from IANA's registries of special-purpose addresses.
# `is_global` of the standard library follows these registries too, but differently in each version of Python.
SPECIAL_NETWORKS = [
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this machine
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by a provider's customers
        "127.0.0.0/8",  # loopback
        "168.63.129.16",  # Azure's services, on its machines
        "169.254.0.0/16",  # link-local, the clouds' metadata among them
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocols; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "2001::/23",  # protocols, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
]

Resolve = Callable[..., list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes. `host` is in ASCII. `path` is percent-encoded and contains the query."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        """The value of the `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS["https" if self.secure else "http"] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Downloader:
    """Fetches photos of at most `max_bytes`, each within `seconds`.

    `allow_loopback` allows loopback addresses, on any port. `resolve` is `socket.getaddrinfo`, or replaces it.
    """

    max_bytes: int
    allow_loopback: bool = False
    resolve: Resolve = socket.getaddrinfo
    seconds: float = _SECONDS

    def fetch(self, url: str) -> bytes:
        """Return the body. Raise `UrlNotAllowed`, `UrlUnreachable` or `ImageTooLarge`."""
        deadline = time.monotonic() + self.seconds
        for _ in range(MAX_REDIRECTS + 1):
            target = parse_url(url)
            try:
                body, redirect = self._exchange(target, deadline)
            except (OSError, http.client.HTTPException) as error:
                raise UrlUnreachable(f"The photo could not be downloaded from {target.host}.") from error
            if redirect is None:
                return body
            url = resolve_redirect(url, redirect)
        raise UrlUnreachable(f"The URL redirects more than {MAX_REDIRECTS} times.")

    def _exchange(self, target: Target, deadline: float) -> tuple[bytes, str | None]:
        """Send one request. Return the body, or the location of a redirect."""
        with closing(self.connect(target, deadline)) as connection, shut_down_at(deadline, connection):
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
            response = send_request(connection, target)
            if response.status in _REDIRECT_STATUSES and (location := response.getheader("Location")):
                return b"", location
            if response.status != HTTPStatus.OK:
                raise UrlUnreachable(f"{target.host} answered with status {response.status}.")
            body = self.read_body(response)
        if time.monotonic() > deadline:  # a body without a Content-Length ends when the connection is shut down
            raise UrlUnreachable(f"{target.host} took longer than {self.seconds:g} seconds.")
        return body, None

    def connect(self, target: Target, deadline: float) -> socket.socket:
        """Connect to the host, without the TLS handshake. Try its addresses in turn. All of them must be allowed."""
        found = self.look_up(target, deadline)
        for *_, address in found:
            self._check(address[0], target.port)
        for number, place in enumerate(found, 1):
            # An address that does not answer leaves time for the others.
            seconds = (deadline - time.monotonic()) / (len(found) - number + 1)
            try:
                connection = _connect(target, place, max(seconds, 0.001))
            except OSError:
                if number == len(found):
                    raise
            else:
                connection.settimeout(max(deadline - time.monotonic(), 0.001))
                return connection
        raise UrlUnreachable(f"{target.host} has no address.")

    def look_up(self, target: Target, deadline: float) -> list[tuple[Any, ...]]:
        """Return the host's addresses. The resolver has no timeout: after the deadline, its thread keeps running."""
        answer: Future[list[tuple[Any, ...]]] = Future()

        def resolve_host() -> None:
            try:
                answer.set_result(self.resolve(target.host, target.port, type=socket.SOCK_STREAM))
            except Exception as error:  # raised again in the thread that waits
                answer.set_exception(error)

        threading.Thread(target=resolve_host, daemon=True).start()
        return answer.result(timeout=max(deadline - time.monotonic(), 0))

    def _check(self, address: str, port: int) -> None:
        ip = ip_address(address)
        if self.allow_loopback and ip.is_loopback:
            return
        if not is_public(ip):
            _refuse("The URL leads to an address that is not public.")
        if port not in ALLOWED_PORTS:
            _refuse(f"The URL's port must be one of {', '.join(map(str, sorted(ALLOWED_PORTS)))}.")

    def read_body(self, response: http.client.HTTPResponse) -> bytes:
        """Read the body. Raise `ImageTooLarge`, and `IncompleteRead` if it is shorter than its Content-Length."""
        if (response.length or 0) > self.max_bytes:
            self._refuse_size()
        body = bytearray()
        while chunk := response.read1(_CHUNK):
            body += chunk
            if len(body) > self.max_bytes:
                self._refuse_size()
        if response.length:
            raise http.client.IncompleteRead(bytes(body), response.length)
        return bytes(body)

    def _refuse_size(self) -> NoReturn:
        mebibytes = self.max_bytes / 2**20
        raise ImageTooLarge(f"The file at the URL is larger than {self.max_bytes:,} bytes ({mebibytes:g} MiB).")


def is_public(ip: IPv4Address | IPv6Address) -> bool:
    """Return whether the address is on the public internet.

    IPv6 addresses that contain an IPv4 address are not, except NAT64 addresses of public IPv4 addresses.
    """
    if ip in NAT64:
        ip = IPv4Address(int(ip) & 0xFFFFFFFF)
    if isinstance(ip, IPv6Address) and (ip not in GLOBAL_UNICAST or int(ip) >> 32 & 0xFDFFFFFF == ISATAP):
        return False
    return not any(ip in network for network in SPECIAL_NETWORKS)


def parse_url(url: str) -> Target:
    """Take the URL apart. Raise `UrlNotAllowed`."""
    if len(url) > MAX_URL_LENGTH:
        _refuse(f"The URL is longer than {MAX_URL_LENGTH} characters.")
    if not url.isprintable() or " " in url:  # half of a surrogate pair is not printable
        _refuse("The URL contains characters that are not allowed in URLs.")
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
        host = (parts.hostname or "").encode("idna").decode()
    except ValueError:
        _refuse("The URL is malformed.")
    if parts.scheme not in DEFAULT_PORTS or not HOST_PATTERN.fullmatch(host):
        _refuse("The URL must begin with http:// or https:// and name a host.")
    if parts.username is not None or parts.password is not None:
        _refuse("The URL must not contain a user name or password.")
    query = f"?{quote(parts.query, safe=_URL_SAFE)}" if parts.query else ""
    return Target(parts.scheme == "https", host, port, quote(parts.path or "/", safe=_URL_SAFE) + query)


def resolve_redirect(url: str, location: str) -> str:
    """Return the absolute URL of a `Location` header, which may contain spaces and non-ASCII bytes, as in browsers."""
    try:
        return urljoin(url, quote(location, safe=punctuation, encoding="latin-1"))
    except ValueError:
        _refuse("The URL redirects to a malformed URL.")


def _connect(target: Target, place: tuple[Any, ...], seconds: float) -> socket.socket:
    """Connect to one of the places that `getaddrinfo` returns."""
    family, kind, protocol, _, address = place
    connection = socket.socket(family, kind, protocol)
    try:
        connection.settimeout(seconds)
        connection.connect(address)
        if target.secure:
            return tls_context().wrap_socket(connection, server_hostname=target.host, do_handshake_on_connect=False)
    except BaseException:
        connection.close()
        raise
    return connection


def send_request(connection: socket.socket, target: Target) -> http.client.HTTPResponse:
    """Send a GET request. Return the response with its headers read."""
    exchange = http.client.HTTPConnection(target.host, target.port)
    exchange.sock = connection
    exchange.request("GET", target.path, headers={**_HEADERS, "Host": target.host_header})
    return exchange.getresponse()


@cache
def tls_context() -> ssl.SSLContext:
    """Read the machine's trusted authorities. Done at the first https URL, not at every cold start."""
    return ssl.create_default_context()


@contextmanager
def shut_down_at(deadline: float, connection: socket.socket) -> Iterator[None]:
    """End reading from the connection at the deadline. A socket's own timeout starts again with each byte."""
    timer = threading.Timer(max(deadline - time.monotonic(), 0), shut_down, [connection])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def shut_down(connection: socket.socket) -> None:
    """Shut the connection down, so that a thread that reads from it stops."""
    with suppress(OSError):  # it may be closed already
        # Not the method of SSLSocket: that one removes TLS while another thread reads.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _refuse(message: str) -> NoReturn:
    raise UrlNotAllowed(message)
