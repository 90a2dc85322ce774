"""A URL to bytes, for strangers' URLs: public addresses only, few redirects, little time, few bytes.

The address that is checked is the one that the socket connects to: a name is resolved once, and not again between the
check and the connection, so that a name server which changes its answer gains nothing.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
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
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_IPV4_COMPATIBLE = IPv6Network("::/96")  # RFC 4291, section 2.5.5.1
_URL_SAFE = "/%:@!$&'()*+,;=~-._?[]"

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
            url = urljoin(url, redirect)
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
        found = self.resolve(target.host, target.port, type=socket.SOCK_STREAM)
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

    def _check(self, address: str, port: int) -> None:
        ip = unwrapped(ip_address(address))
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


def unwrapped(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 one (mapped, 6to4, Teredo, NAT64, compatible), or the address itself."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip.teredo:
        return ip.teredo[1]
    if ip in _NAT64 or (ip in _IPV4_COMPATIBLE and int(ip) > 1):
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def is_public(ip: IPv4Address | IPv6Address) -> bool:
    """Tell an address of the public internet; `is_global` alone takes multicast and site-local ones for such."""
    site_local = isinstance(ip, IPv6Address) and ip.is_site_local
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not site_local


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
    if parts.scheme not in _DEFAULT_PORTS or not host:
        _refuse("The URL must begin with http:// or https:// and name a host.")
    if parts.username is not None or parts.password is not None:
        _refuse("The URL must not hold a user name or password.")
    query = f"?{quote(parts.query, safe=_URL_SAFE)}" if parts.query else ""
    return _Target(parts.scheme == "https", host, port, quote(parts.path or "/", safe=_URL_SAFE) + query)


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
        connection.shutdown(socket.SHUT_RDWR)


def _refuse(message: str) -> NoReturn:
    raise UrlNotAllowed(message)
