"""An internet on one machine: public addresses with a test's servers, a private network, name servers.

Sockets, TLS and time are real. Only the routes are not: `Internet.connect` stands in for `socket.socket.connect`. It
records each destination, and connects to the server that the test has put there. Any other address leads to one
listening socket, which stands for the private network.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address, ip_address
from itertools import chain, repeat
from threading import Thread
from typing import Any

from classifier.download import Downloader

PUBLIC = "93.184.216.34"
PUBLIC_IPV6 = "2606:2800:220:1:248:1893:25c8:1946"
SECRET = b"a secret of the private network"
MAX_BYTES = 100_000  # of a photo

Respond = Callable[[socket.socket], None]

_connect = socket.socket.connect  # the real one


class Listener:
    """A listening socket on a loopback address. It calls `respond` with each connection, in a thread of its own."""

    def __init__(self, respond: Respond, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> None:
        self.connections = 0
        self._respond = respond
        self._tls = tls
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.create_server((address, 0), family=family)
        self.address = self._socket.getsockname()
        Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # the socket is closed
            while True:
                connection, _ = self._socket.accept()
                self.connections += 1
                Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        with (
            suppress(OSError),  # the peer may be gone
            connection,
            self._tls.wrap_socket(connection, server_side=True) if self._tls else connection as stream,
        ):
            self._respond(stream)
            stream.shutdown(socket.SHUT_WR)
            while stream.recv(65536):  # if anything were unread, closing would reset the connection
                pass

    def count_connections(self) -> int:
        """Return the number of connections so far, after all that were waiting have been accepted."""
        with socket.socket(self._socket.family) as probe:
            _connect(probe, self.address)
            probe.shutdown(socket.SHUT_WR)
            while probe.recv(65536):
                pass
        self.connections -= 1  # this one, which came last
        return self.connections

    def stop(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the accepting thread
        self._socket.close()


class BlackHole:
    """A socket that accepts no connections, since its queue is full."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.address = self._socket.getsockname()
        self._waiting = socket.socket()
        _connect(self._waiting, self.address)

    def stop(self) -> None:
        self._waiting.close()
        self._socket.close()


class Internet:
    """A test puts servers at public addresses. Names without addresses of their own lead to `default_address`."""

    def __init__(self) -> None:
        self.default_address = PUBLIC
        self.seconds_to_connect = 0.0
        self.destinations: list[str] = []
        self.lookups: list[str] = []
        self._private = Listener(Site(SECRET))
        self._servers: dict[Any, Listener | BlackHole] = {}
        self._answers: dict[str, Iterator[list[str]]] = {}

    def put(self, respond: Respond, address: str = PUBLIC, tls: ssl.SSLContext | None = None) -> None:
        """Put a server at a public address."""
        self._servers[ip_address(address)] = Listener(respond, tls)

    def serve(self, respond: Respond, tls: ssl.SSLContext | None = None) -> str:
        """Put a server at a public address with a name. Return its URL."""
        host, address = f"{len(self._servers)}.photos.example", str(IPv4Address(PUBLIC) + 1 + len(self._servers))
        self.put(respond, address, tls)
        self.name(host, [address])
        return f"{'https' if tls else 'http'}://{host}/"

    def put_black_hole(self, address: str) -> BlackHole:
        """Put a socket at a public address that accepts no connections."""
        hole = self._servers[ip_address(address)] = BlackHole()
        return hole

    def name(self, host: str, *answers: list[str]) -> None:
        """Give a name the addresses of the first answer at the first lookup, and so on; the last answer stays."""
        self._answers[host] = chain(answers, repeat(answers[-1]))

    def resolve(self, host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        """Stand in for `socket.getaddrinfo`, which also parses addresses as the system does."""
        self.lookups.append(host)
        if host in self._answers:
            return [_found(address, port) for address in next(self._answers[host])]
        try:
            return numeric(host, port)
        except socket.gaierror:
            return [_found(self.default_address, port)]

    def connect(self, connection: socket.socket, address: tuple[Any, ...]) -> None:
        """Stand in for `socket.socket.connect`."""
        self.destinations.append(address[0])
        host, port, *_ = self._servers.get(ip_address(address[0]), self._private).address
        _connect(connection, (f"::ffff:{host}" if connection.family == socket.AF_INET6 else host, port))
        time.sleep(self.seconds_to_connect)

    def fetch(self, url: str, seconds: float = 5, **options: Any) -> bytes:
        """Download the URL as the function does."""
        return Downloader(**{"max_bytes": MAX_BYTES, "resolve": self.resolve, **options}, seconds=seconds).fetch(url)

    def count_private_connections(self) -> int:
        """Return the number of connections to the private network."""
        return self._private.count_connections()

    def stop(self) -> None:
        for server in (self._private, *self._servers.values()):
            server.stop()


class Site:
    """Answers each path as a test says, and any other path with a photo. Keeps the requests."""

    def __init__(self, photo: bytes, answers: dict[str, bytes] | None = None) -> None:
        self.requests: list[bytes] = []
        self.answers = answers or {}
        self._photo = answer(photo)

    def __call__(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head and (data := connection.recv(65536)):
            head += data
        if b"\r\n\r\n" in head:
            self.requests.append(head)
            connection.sendall(self.answers.get(head.split(b" ")[1].decode(), self._photo))


def numeric(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
    """Resolve an address in any spelling that the system knows, and no names."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)


def _found(address: str, port: int) -> tuple[Any, ...]:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return a whole answer of HTTP."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "".join(f"{line}\r\n" for line in [*head, ""]).encode("latin-1") + body


def redirect(location: str, status: int = 302) -> bytes:
    """Return an answer that redirects to the location."""
    return answer(b"", f"Location: {location}", status=f"{status} Moved")


def sending(pieces: Callable[[], Iterable[bytes]]) -> Respond:
    """Return a server that sends these pieces, without reading a request."""

    def respond(connection: socket.socket) -> None:
        for piece in pieces():
            connection.sendall(piece)

    return respond


def dripping(begin: bytes, piece: bytes, seconds: float = 3) -> Respond:
    """Return a server that sends the beginning, and then a piece now and then for so many seconds."""

    def pieces() -> Iterator[bytes]:
        yield begin
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.03)
            yield piece

    return sending(pieces)


def flooding(begin: bytes, piece: bytes) -> Respond:
    """Return a server that sends the beginning, and then pieces as long as the client reads them."""
    return sending(lambda: chain([begin], repeat(piece)))
