"""From URLs to bytes: public addresses only, within limits of time and size."""

import socket
import time
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from typing import Any

import pytest

from classifier.download import Downloader, Target, is_public, parse_url, shut_down
from classifier.errors import ImageTooLarge, UrlNotAllowed, UrlUnreachable
from tests.support.photo_server import PhotoServer
from tests.support.ports import free_port

LOCAL = Downloader(max_bytes=100_000, allow_loopback=True, seconds=5)
STRICT = Downloader(max_bytes=100_000)


def resolving_to(*addresses: str) -> Any:
    """Return a resolver that answers any name with these addresses, and keeps the names in `hosts`."""

    def resolve(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        resolve.hosts.append(host)  # type: ignore[attr-defined]
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port, 0, 0) if ":" in address else (address, port),
            )
            for address in addresses
        ]

    resolve.hosts = []  # type: ignore[attr-defined]
    return resolve


def test_a_body_is_fetched(photo_server: PhotoServer) -> None:
    assert LOCAL.fetch(photo_server.serve("/photo.jpg", b"bytes")) == b"bytes"


def test_the_request_has_the_host_and_refuses_compression(photo_server: PhotoServer) -> None:
    LOCAL.fetch(photo_server.serve("/p", b"bytes") + "?size=1&name=é")

    path, headers = photo_server.requests[0]
    assert path == "/p?size=1&name=%C3%A9"
    assert headers["Host"] == f"127.0.0.1:{photo_server.port}"
    assert headers["Accept-Encoding"] == "identity"
    assert headers.keys() == {"Host", "Accept", "Accept-Encoding", "User-Agent"}
    assert headers["User-Agent"] == "clothes-classifier"


def test_a_name_is_resolved_once_and_sent_in_the_host_header(photo_server: PhotoServer) -> None:
    resolve = resolving_to("127.0.0.1")
    photo_server.serve("/p", b"bytes")

    body = Downloader(100, allow_loopback=True, resolve=resolve).fetch(f"http://bücher.example:{photo_server.port}/p")

    assert body == b"bytes"
    assert resolve.hosts == ["xn--bcher-kva.example"]
    assert photo_server.requests[0][1]["Host"] == f"xn--bcher-kva.example:{photo_server.port}"


def redirect(photo_server: PhotoServer, path: str, location: str) -> str:
    """Redirect the path to the location. Return its URL."""

    def respond(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", location)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return photo_server.set_handler(path, respond)


def test_redirects_are_followed(photo_server: PhotoServer) -> None:
    photo_server.serve("/c", b"bytes")
    redirect(photo_server, "/b", photo_server.url("/c"))

    assert LOCAL.fetch(redirect(photo_server, "/a", "b")) == b"bytes"


def test_a_fourth_redirect_is_not_followed(photo_server: PhotoServer) -> None:
    with pytest.raises(UrlUnreachable, match="redirects"):
        LOCAL.fetch(redirect(photo_server, "/a", "/a"))

    assert len(photo_server.requests) == 4


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "ftp://a/b"])
def test_a_redirect_to_a_url_that_is_not_allowed_is_refused(photo_server: PhotoServer, location: str) -> None:
    with pytest.raises(UrlNotAllowed):
        LOCAL.fetch(redirect(photo_server, "/a", location))


@pytest.mark.parametrize("location", ["http://[", "//[1]/a.jpg", "http://exa%20mple.com/"])
def test_a_redirect_to_a_malformed_url_is_refused(photo_server: PhotoServer, location: str) -> None:
    with pytest.raises(UrlNotAllowed, match="The URL"):
        LOCAL.fetch(redirect(photo_server, "/a", location))


@pytest.mark.parametrize(
    ("location", "path"),
    [("/a b.jpg", "/a%20b.jpg"), ("/\xe9.jpg", "/%E9.jpg"), ("/\xc3\xa9.jpg", "/%C3%A9.jpg"), ("/%C3%A9", "/%C3%A9")],
)
def test_a_redirect_may_contain_spaces_and_bytes_of_any_encoding(
    photo_server: PhotoServer, location: str, path: str
) -> None:
    """Browsers accept them."""
    photo_server.serve(path, b"bytes")

    assert LOCAL.fetch(redirect(photo_server, "/a", location)) == b"bytes"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "photo.jpg",
        "//example.com/a.jpg",
        "file:///etc/passwd",
        "ftp://example.com/a.jpg",
        "gopher://example.com/",
        "data:image/png;base64,AAAA",
        "http://",
        "http:///a.jpg",
        "http://user:secret@example.com/a.jpg",
        "http://user@example.com/a.jpg",
        "http://example.com:99999/",
        "http://example.com:port/",
        "http://[::1",
        "http://exa mple.com/",
        "http://example.com/\r\nX: y",
        "http://example.com/\ud800",
        "http://" + "a" * 64 + ".example/",
        "http://\u2024example.com/",  # IDNA takes these characters for dots, which make empty labels
        "https://example\u2024\u2024com/",
        "http://ex\xa8ample.com/",  # IDNA takes this character for a space
        "http://127%2e0.0.1/",
        "http://example.com\\a.jpg",
        "http://example.com/" + "a" * 2048,
    ],
)
def test_a_url_that_is_not_ordinary_is_refused(url: str) -> None:
    with pytest.raises(UrlNotAllowed):
        Downloader(100, resolve=resolving_to("93.184.216.34")).fetch(url)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.0.1",
        "0.0.0.0",  # noqa: S104 - another address of this machine
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:a9fe:a9fe",
        "::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "64:ff9b:1::a9fe:a9fe",
        "fd00:ec2::254",
        "168.63.129.16",
        "2606:2800::5efe:a9fe:a9fe",
        "2606:2800::200:5efe:a9fe:a9fe",
        # Versions of Python differ on which of these are global.
        "192.0.0.8",
        "192.0.0.192",
        "192.88.99.1",
        "::ffff:93.184.216.34",
        "::ffff:0:93.184.216.34",
        "64:ff9b:1::5db8:d822",
        "100::1",
        "100:0:0:1::1",
        "2001:1::1",
        "2001:3::1",
        "2001:4:112::1",
        "2001:20::1",
        "2002:5db8:d822::1",
        "3fff::1",
        "5f00::1",
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert not is_public(ip_address(address))
    with pytest.raises(UrlNotAllowed, match="not public"):
        Downloader(100, resolve=resolving_to(address)).fetch("http://photos.example/a.jpg")


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(ip_address(address))


def test_a_name_with_one_private_address_of_several_is_refused() -> None:
    with pytest.raises(UrlNotAllowed):
        Downloader(100, resolve=resolving_to("93.184.216.34", "127.0.0.1")).fetch("http://photos.example/a.jpg")


@pytest.mark.parametrize(
    "host", ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"]
)
def test_loopback_is_refused_in_every_spelling(host: str) -> None:
    with pytest.raises(UrlNotAllowed):
        STRICT.fetch(f"http://{host}/a.jpg")


@pytest.mark.parametrize("port", [22, 25, 6379, 9001])
def test_ports_of_other_services_are_refused(port: int) -> None:
    with pytest.raises(UrlNotAllowed, match="port"):
        Downloader(100, resolve=resolving_to("93.184.216.34")).fetch(f"http://photos.example:{port}/")


def test_no_other_private_address_is_allowed_with_loopback() -> None:
    with pytest.raises(UrlNotAllowed):
        Downloader(100, allow_loopback=True, resolve=resolving_to("10.0.0.1")).fetch("http://photos.example/")


def test_a_body_is_too_large_if_its_content_length_is(photo_server: PhotoServer) -> None:
    assert len(LOCAL.fetch(photo_server.serve("/q", bytes(100_000)))) == 100_000
    with pytest.raises(ImageTooLarge, match="100,000 bytes"):
        LOCAL.fetch(photo_server.serve("/p", bytes(100_001)))


def test_a_url_of_more_than_2048_characters_is_refused(photo_server: PhotoServer) -> None:
    url = f"{photo_server.serve('/p', b'bytes')}?".ljust(2048, "a")

    assert LOCAL.fetch(url) == b"bytes"
    with pytest.raises(UrlNotAllowed, match="longer than 2048"):
        LOCAL.fetch(f"{url}a")


def test_an_endless_body_is_cut_off(photo_server: PhotoServer) -> None:
    def respond(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while True:
            request.wfile.write(bytes(65536))

    with pytest.raises(ImageTooLarge):
        LOCAL.fetch(photo_server.set_handler("/p", until_closed(respond)))


def until_closed(respond: Any) -> Any:
    """Return a function that answers until the client closes the connection."""

    def guarded(request: BaseHTTPRequestHandler) -> None:
        try:
            respond(request)
        except OSError:
            request.close_connection = True

    return guarded


@pytest.mark.parametrize("part", ["headers", "body", "nothing"])
def test_a_server_that_sends_byte_by_byte_is_cut_off_at_the_time_limit(photo_server: PhotoServer, part: str) -> None:
    """Each byte arrives within a socket's timeout."""

    def drip(request: BaseHTTPRequestHandler) -> None:
        if part == "body":
            request.send_response(200)
            request.end_headers()
        if part == "headers":
            request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        for _ in range(100):
            if part != "nothing":
                request.wfile.write(b"x")
            time.sleep(0.05)

    started = time.monotonic()
    with pytest.raises(UrlUnreachable):
        Downloader(100_000, allow_loopback=True, seconds=0.4).fetch(photo_server.set_handler("/p", until_closed(drip)))

    assert time.monotonic() - started < 2


def test_the_addresses_of_a_host_are_tried_in_turn(photo_server: PhotoServer) -> None:
    """Nothing listens at the first one."""
    photo_server.serve("/photo.jpg", b"photo")
    resolve = resolving_to("127.0.0.2", "127.0.0.1")

    body = Downloader(100, allow_loopback=True, resolve=resolve).fetch(
        f"http://localhost:{photo_server.port}/photo.jpg"
    )

    assert body == b"photo"


def test_an_address_that_does_not_answer_leaves_time_for_the_next(photo_server: PhotoServer) -> None:
    photo_server.serve("/photo.jpg", b"photo")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.2", photo_server.port))
        deaf.listen(0)
        fill = [socket.socket() for _ in range(4)]  # its queue is full, so it does not answer any more
        for connection in fill:
            connection.settimeout(0)
            connection.connect_ex(("127.0.0.2", photo_server.port))
        downloader = Downloader(100, allow_loopback=True, resolve=resolving_to("127.0.0.2", "127.0.0.1"), seconds=2)

        assert downloader.fetch(f"http://localhost:{photo_server.port}/photo.jpg") == b"photo"

        for connection in fill:
            connection.close()


def test_a_host_without_addresses_is_unreachable() -> None:
    with pytest.raises(UrlUnreachable):
        Downloader(100, resolve=resolving_to()).fetch("http://photos.example/")


def test_a_slow_name_server_is_cut_off_at_the_time_limit() -> None:
    def resolve(*_: object, **__: object) -> list[tuple[Any, ...]]:
        time.sleep(3)
        return []

    started = time.monotonic()
    with pytest.raises(UrlUnreachable):
        Downloader(100, resolve=resolve, seconds=0.2).fetch("http://photos.example/")

    assert time.monotonic() - started < 2


def test_a_url_is_unreachable_if_the_time_is_over_before_tls_begins(
    photo_server: PhotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect_slowly(connection: socket.socket, address: Any) -> None:
        connect(connection, address)
        time.sleep(0.2)

    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", connect_slowly)

    with pytest.raises(UrlUnreachable):
        Downloader(100, allow_loopback=True, seconds=0.1).fetch(f"https://127.0.0.1:{photo_server.port}/")


def test_a_body_shorter_than_its_content_length_is_an_error(photo_server: PhotoServer) -> None:
    def respond(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "100")
        request.end_headers()
        request.wfile.write(b"half")
        request.close_connection = True

    with pytest.raises(UrlUnreachable):
        LOCAL.fetch(photo_server.set_handler("/p", respond))


def test_the_error_names_a_status_other_than_200(photo_server: PhotoServer) -> None:
    with pytest.raises(UrlUnreachable, match="404"):
        LOCAL.fetch(photo_server.url("/missing"))


def test_a_port_without_a_server_is_unreachable() -> None:
    with pytest.raises(UrlUnreachable, match="could not be downloaded from"):
        LOCAL.fetch(f"http://127.0.0.1:{free_port()}/")


def test_a_name_that_does_not_exist_is_unreachable() -> None:
    def resolve(*_: object, **__: object) -> list[tuple[Any, ...]]:
        raise socket.gaierror("Name or service not known")

    with pytest.raises(UrlUnreachable):
        Downloader(100, resolve=resolve).fetch("http://nowhere.invalid/a.jpg")


def test_a_server_that_does_not_speak_http_is_unreachable(photo_server: PhotoServer) -> None:
    def respond(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"220 mail ready\r\n")
        request.close_connection = True

    with pytest.raises(UrlUnreachable):
        LOCAL.fetch(photo_server.set_handler("/p", respond))


def test_a_server_that_does_not_speak_tls_is_unreachable_by_https(photo_server: PhotoServer) -> None:
    with pytest.raises(UrlUnreachable):
        LOCAL.fetch(f"https://127.0.0.1:{photo_server.port}/p")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.com/a b", "The URL contains characters that are not allowed in URLs."),
        ("http://[::1", "The URL is malformed."),
        ("ftp://example.com/", "The URL must begin with http:// or https:// and name a host."),
        ("http:///a.jpg", "The URL must begin with http:// or https:// and name a host."),
        ("http://user@example.com/", "The URL must not contain a user name or password."),
        ("http://example.com:22/", "The URL's port must be one of 80, 443, 8080, 8443."),
    ],
)
def test_the_error_says_what_is_wrong_with_the_url(url: str, message: str) -> None:
    with pytest.raises(UrlNotAllowed) as raised:
        Downloader(100, resolve=resolving_to("93.184.216.34")).fetch(url)

    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("url", "target", "host"),
    [
        ("http://a.example", Target(secure=False, host="a.example", port=80, path="/"), "a.example"),
        ("https://a.example/b?c=é", Target(secure=True, host="a.example", port=443, path="/b?c=%C3%A9"), "a.example"),
        ("http://a.example:443/", Target(secure=False, host="a.example", port=443, path="/"), "a.example:443"),
        ("https://A.example:8443/", Target(secure=True, host="a.example", port=8443, path="/"), "a.example:8443"),
        ("http://[2606:2800::1]/?", Target(secure=False, host="2606:2800::1", port=80, path="/"), "[2606:2800::1]"),
    ],
)
def test_a_url_is_taken_apart(url: str, target: Target, host: str) -> None:
    assert parse_url(url) == target
    assert target.host_header == host


def test_a_public_address_on_an_allowed_port_is_connected(
    photo_server: PhotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection to the public address is redirected to a server of the test."""
    addresses = []

    def connect_locally(connection: socket.socket, address: Any) -> None:
        addresses.append(address)
        connect(connection, ("127.0.0.1", photo_server.port))

    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", connect_locally)
    photo_server.serve("/a.jpg", b"bytes")

    body = Downloader(100, resolve=resolving_to("93.184.216.34")).fetch("http://photos.example:8080/a.jpg")

    assert body == b"bytes"
    assert addresses == [("93.184.216.34", 8080)]


def test_the_size_limit_in_the_error_is_in_bytes_and_mebibytes(photo_server: PhotoServer) -> None:
    url = photo_server.serve("/p", bytes(2**20 + 1))

    with pytest.raises(ImageTooLarge, match=r"larger than 1,048,576 bytes \(1 MiB\)\."):
        Downloader(2**20, allow_loopback=True).fetch(url)


def test_the_resolver_is_asked_for_addresses_of_tcp() -> None:
    def resolve(*_: object, **options: object) -> list[tuple[Any, ...]]:
        asked.append(options)
        raise socket.gaierror("Name or service not known")

    asked: list[object] = []
    with pytest.raises(UrlUnreachable):
        Downloader(100, resolve=resolve).fetch("http://nowhere.invalid/a.jpg")

    assert asked == [{"type": socket.SOCK_STREAM}]


def test_a_closed_connection_can_be_shut_down() -> None:
    connection = socket.socket()
    connection.close()

    shut_down(connection)

    assert connection.fileno() == -1
