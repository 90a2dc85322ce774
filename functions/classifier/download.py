"""A URL to bytes, for strangers' URLs: public addresses only, few redirects, little time, few bytes.

The address that is checked is the one that the socket connects to: a name is resolved once, and not again between the
check and the connection, so that a name server which changes its answer gains nothing.
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

_SECONDS = 10.0  # for everything, redirects included; API Gateway gives up after 29
_REDIRECTS = 3
_LONGEST_URL = 2048
_PORTS = {80, 443, 8080, 8443}  # the web's; on others strange services listen
_DEFAULT_PORTS = {"http": 80, "https": 443}
_CHUNK = 64 * 1024
_REDIRECT_STATUSES = {301, 302, 303, 307, 308}
_HEADERS = {"Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity", "User-Agent": "clothes-classifier"}
_URL_SAFE = "/%:@!$&'()*+,;=~-._?[]"
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[0-9a-f:]+(\.[0-9]+)*")  # a name, or an IPv6 address

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address behind a translator
_ISATAP = 0x5EFE  # RFC 5214: before an IPv4 address, behind any prefix
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # what is given out of IPv6
# What is not public of IPv4 and of global unicast, after IANA's registries of special-purpose addresses. `is_global` of
# the standard library follows them too, but each version of Python in its own way.
_SPECIAL = [
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
class _Target:
    """What one request goes to. `host` is in ASCII; `path` is percent-encoded and holds the query."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS["https" if self.secure else "http"] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Downloader:
    """Fetches photos of at most `max_bytes`, each within `seconds`.

    `allow_loopback` lets URLs reach this machine, on any port. `resolve` is `socket.getaddrinfo` or a stand-in for it.
    """

    max_bytes: int
    allow_loopback: bool = False
    resolve: Resolve = socket.getaddrinfo
    seconds: float = _SECONDS

    def fetch(self, url: str) -> bytes:
        """The body behind the URL; raises `UrlNotAllowed`, `UrlUnreachable` or `ImageTooLarge`."""
        deadline = time.monotonic() + self.seconds
        for _ in range(_REDIRECTS + 1):
            target = _parse(url)
            try:
                body, redirect = self._exchange(target, deadline)
            except (OSError, http.client.HTTPException) as error:
                raise UrlUnreachable(f"{target.host} did not give the photo.") from error
            if redirect is None:
                return body
            url = _redirected(url, redirect)
        raise UrlUnreachable(f"The URL redirects more than {_REDIRECTS} times.")

    def _exchange(self, target: _Target, deadline: float) -> tuple[bytes, str | None]:
        """One request: the body, or where a redirect leads."""
        with closing(self._connect(target, deadline)) as connection, _shut_down_at(deadline, connection):
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
            response = _request(connection, target)
            if response.status in _REDIRECT_STATUSES and (location := response.getheader("Location")):
                return b"", location
            if response.status != HTTPStatus.OK:
                raise UrlUnreachable(f"{target.host} answered with status {response.status}.")
            body = self._read(response)
        if time.monotonic() > deadline:  # a body of no stated length ends where the connection was shut down
            raise UrlUnreachable(f"{target.host} took longer than {self.seconds:g} seconds.")
        return body, None

    def _connect(self, target: _Target, deadline: float) -> socket.socket:
        """A connection to the first of the host's addresses, all of which must be allowed; no TLS handshake yet."""
        found = self._look_up(target, deadline)
        for *_, address in found:
            self._check(address[0], target.port)
        family, kind, protocol, _, address = found[0]
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            connection.connect(address)
            if target.secure:
                return _tls().wrap_socket(connection, server_hostname=target.host, do_handshake_on_connect=False)
        except BaseException:
            connection.close()
            raise
        return connection

    def _look_up(self, target: _Target, deadline: float) -> list[tuple[Any, ...]]:
        """The host's addresses. A resolver knows no deadline: one that takes longer is left behind in its thread."""
        answer: Future[list[tuple[Any, ...]]] = Future()

        def look_up() -> None:
            try:
                answer.set_result(self.resolve(target.host, target.port, type=socket.SOCK_STREAM))
            except Exception as error:  # it is raised where the answer is waited for
                answer.set_exception(error)

        threading.Thread(target=look_up, daemon=True).start()
        return answer.result(timeout=max(deadline - time.monotonic(), 0))

    def _check(self, address: str, port: int) -> None:
        ip = ip_address(address)
        if self.allow_loopback and ip.is_loopback:
            return
        if not is_public(ip):
            _refuse("The URL leads to an address that is not public.")
        if port not in _PORTS:
            _refuse(f"The URL's port must be one of {', '.join(map(str, sorted(_PORTS)))}.")

    def _read(self, response: http.client.HTTPResponse) -> bytes:
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
        raise ImageTooLarge(f"The file behind the URL is larger than {self.max_bytes:,} bytes ({mebibytes:g} MiB).")


def is_public(ip: IPv4Address | IPv6Address) -> bool:
    """Tell an address of the public internet. Those that embed an IPv4 one are none, but for NAT64's of public ones."""
    if ip in _NAT64:
        ip = IPv4Address(int(ip) & 0xFFFFFFFF)
    if isinstance(ip, IPv6Address) and (ip not in _GLOBAL_UNICAST or int(ip) >> 32 & 0xFDFFFFFF == _ISATAP):
        return False
    return not any(ip in network for network in _SPECIAL)


def _parse(url: str) -> _Target:
    if len(url) > _LONGEST_URL:
        _refuse(f"The URL is longer than {_LONGEST_URL} characters.")
    if not url.isprintable() or " " in url:  # half of a surrogate pair is not printable either
        _refuse("The URL holds characters that no URL may hold.")
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
        host = (parts.hostname or "").encode("idna").decode()
    except ValueError:
        _refuse("The URL is malformed.")
    if parts.scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(host):
        _refuse("The URL must begin with http:// or https:// and name a host.")
    if parts.username is not None or parts.password is not None:
        _refuse("The URL must not hold a user name or password.")
    query = f"?{quote(parts.query, safe=_URL_SAFE)}" if parts.query else ""
    return _Target(parts.scheme == "https", host, port, quote(parts.path or "/", safe=_URL_SAFE) + query)


def _redirected(url: str, location: str) -> str:
    """Where a `Location` header leads. As in browsers it may hold spaces, and bytes beyond ASCII of any encoding."""
    try:
        return urljoin(url, quote(location, safe=punctuation, encoding="latin-1"))
    except ValueError:
        _refuse("The URL redirects to one that is malformed.")


def _request(connection: socket.socket, target: _Target) -> http.client.HTTPResponse:
    exchange = http.client.HTTPConnection(target.host, target.port)
    exchange.sock = connection
    exchange.request("GET", target.path, headers={**_HEADERS, "Host": target.host_header})
    return exchange.getresponse()


@cache
def _tls() -> ssl.SSLContext:
    """The machine's trusted authorities, read at the first https URL rather than at every cold start."""
    return ssl.create_default_context()


@contextmanager
def _shut_down_at(deadline: float, connection: socket.socket) -> Iterator[None]:
    """Wake whoever still reads at the deadline: a socket's own timeout starts anew with each byte."""
    timer = threading.Timer(max(deadline - time.monotonic(), 0), _shut_down, [connection])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError):  # it may be closed already
        # Not an SSLSocket's own shutdown, which takes TLS away from whoever is reading.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _refuse(message: str) -> NoReturn:
    raise UrlNotAllowed(message)
