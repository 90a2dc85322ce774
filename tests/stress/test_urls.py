"""URLs of strangers: none reaches an address that is not public or takes too long; ordinary ones are fetched."""

import gzip
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPResponse
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from itertools import product
from random import Random
from string import printable
from threading import Timer
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
import trustme

from classifier import download
from classifier.download import Downloader, Target, is_public
from classifier.errors import ClassifierError, ImageTooLarge, UrlNotAllowed, UrlUnreachable
from tests.support import internet as internet_module
from tests.support.addresses import METADATA, SPECIAL, hosts, outside, sample
from tests.support.internet import (
    MAX_BYTES,
    PUBLIC,
    PUBLIC_IPV6,
    SECRET,
    Internet,
    Listener,
    Site,
    answer,
    dripping,
    flooding,
    numeric,
    redirect,
    sending,
)
from tests.support.scale import Scale

SECURE = "93.184.216.33"  # the address of servers that speak TLS
PHOTO = b"the photo's bytes"
PRIVATE = "169.254.169.254"
FOLLOWED = [301, 302, 303, 307, 308]
SCHEMES = (
    "file ftp gopher dict ldap tftp sftp ssh smb jar data javascript about blob ws wss s3 git unix http+unix httpx"
)
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

Record = Callable[[Internet, int], None]
Figure = Callable[[str, object], None]


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Internet]:
    """An internet to which all sockets of this process connect."""
    made = Internet()
    # Only a function becomes a method of sockets.
    monkeypatch.setattr(socket.socket, "connect", lambda connection, place: made.connect(connection, place))  # noqa: PLW0108
    yield made
    made.stop()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """The authority whose certificates are trusted."""
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The context of servers with trusted certificates."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trusting)
    monkeypatch.setattr(download, "tls_context", lambda: trusting)
    return server_context(authority.issue_cert("*.photos.example", SECURE))


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return the context of a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def record(record_property: Figure) -> Record:
    """A function that asserts that no attack reached the private network, and records their number."""

    def record(internet: Internet, attacks: int) -> None:
        connections = internet.count_private_connections()
        assert connections == 0
        record_property("attacks", attacks)
        record_property("connections to the private network", connections)

    return record


def outcome(internet: Internet, url: str, **options: Any) -> bytes | type[ClassifierError]:
    """Return the photo, or the class of the error."""
    try:
        return internet.fetch(url, **options)
    except ClassifierError as error:
        return type(error)


# Where URLs lead.


def test_addresses_that_are_not_public_are_refused(internet: Internet, scale: Scale, record: Record) -> None:
    """They are refused in every spelling, embedded in other addresses, and as the address of a name."""
    random = Random(0)
    tried, accepted = 0, []
    for ip in [*METADATA, *(ip for network in SPECIAL for ip in sample(network, random, scale.of(25, short=0)))]:
        internet.default_address = str(ip)
        for host in ["name.example", *hosts(ip, random)]:
            url = f"{random.choice(['http', 'https'])}://{host}{random.choice(['', ':80', ':8443'])}/a.jpg"
            tried += 1
            if outcome(internet, url) is not UrlNotAllowed:
                accepted.append(url)

    assert accepted == []
    assert internet.destinations == []
    record(internet, tried)


def test_addresses_next_to_special_networks_are_public() -> None:
    neighbours = {ip for network in SPECIAL for ip in outside(network)}

    assert len(neighbours) > 30
    assert {ip for ip in neighbours if not is_public(ip)} == set()


def test_no_address_is_public_that_is_private_to_python(scale: Scale) -> None:
    """Each version of Python has a list of its own."""
    random = Random(1)
    for _ in range(scale.of(100_000, short=2_000)):
        for ip in (IPv4Address(random.getrandbits(32)), IPv6Address((1 << 125) + random.getrandbits(125))):
            assert ip.is_global or not is_public(ip), ip


def test_real_loopback_sockets_are_not_reached(scale: Scale, record_property: Figure) -> None:
    """More than half of these spellings reach them where loopback addresses are allowed."""
    random = Random(2)
    addresses = ["127.0.0.1", *(f"127.{random.randrange(256)}.0.{random.randrange(1, 255)}" for _ in range(2))]
    listeners = {ip_address(address): Listener(Site(SECRET), address=address) for address in addresses}
    urls = [
        f"http://{host}:{listener.address[1]}/"
        for ip, listener in listeners.items()
        for _ in range(scale.of(10, short=1))
        for host in hosts(ip, random)
    ]

    def connections(*, allow_loopback: bool) -> int:
        for url in urls:
            with suppress(ClassifierError):
                Downloader(MAX_BYTES, allow_loopback=allow_loopback, resolve=numeric).fetch(url)
        return sum(listener.count_connections() for listener in listeners.values())

    assert connections(allow_loopback=False) == 0
    assert connections(allow_loopback=True) > len(urls) / 2
    for listener in listeners.values():
        listener.stop()
    record_property("attacks", len(urls))


def test_a_name_with_one_private_address_is_refused(internet: Internet, scale: Scale, record: Record) -> None:
    random = Random(3)
    public = [PUBLIC, PUBLIC_IPV6, "1.1.1.1", "64:ff9b::808:808"]
    tried = scale.of(3_000, short=200)
    for number in range(tried):
        addresses = random.sample(public, random.randrange(len(public)))
        private = random.choice([*METADATA, *sample(random.choice(SPECIAL), random, 1)])
        addresses.insert(random.randint(0, len(addresses)), str(private))
        internet.name(f"{number}.example", addresses)

        assert outcome(internet, f"http://{number}.example/") is UrlNotAllowed, addresses

    assert internet.destinations == []
    record(internet, tried)


def test_a_name_is_looked_up_once_for_each_connection(internet: Internet, record: Record) -> None:
    """The second answer of these names is a private address."""
    internet.put(Site(PHOTO, {"/again": redirect("/a.jpg")}))
    for number in range(20):
        internet.name(f"{number}.example", [PUBLIC], [PRIVATE])
        internet.name(f"again-{number}.example", [PUBLIC], [PRIVATE])

        assert outcome(internet, f"http://{number}.example/a.jpg") == PHOTO
        assert outcome(internet, f"http://again-{number}.example/again") is UrlNotAllowed

    assert set(internet.destinations) == {PUBLIC}
    record(internet, 40)


def locations(random: Random, number: int) -> Iterator[str]:
    """Yield locations in the private network, and locations of other schemes."""
    for scheme, rest in product(SCHEMES.split(), ["//photos.example/a.jpg", "a.jpg", "///etc/passwd"]):
        yield f"{scheme}:{rest}"
    for _ in range(number):
        ip = random.choice([*METADATA, *sample(random.choice(SPECIAL), random, 1)])
        host = random.choice(list(hosts(ip, random)))
        yield random.choice(["http:", "https:", "HTTP:", ""]) + f"//{host}/latest/meta-data/"


def test_redirects_to_private_addresses_are_refused(internet: Internet, scale: Scale, record: Record) -> None:
    random = Random(4)
    site = Site(PHOTO)
    url = internet.serve(site)
    internet.default_address = PRIVATE
    tried = 0
    for location in locations(random, scale.of(2_000, short=50)):
        if location.isascii():  # a header holds nothing else
            site.answers["/"] = redirect(location, random.choice(FOLLOWED))
            tried += 1
            assert outcome(internet, url) is UrlNotAllowed, location

    assert len(set(internet.destinations)) == 1
    record(internet, tried)


@pytest.mark.parametrize("status", range(300, 310))
def test_at_most_three_redirects_are_followed(internet: Internet, status: int, record: Record) -> None:
    """A chain ends earlier at a private address."""
    url = internet.serve(
        Site(
            PHOTO,
            {
                **{f"/{left}": redirect(f"/{left - 1}", status) for left in range(1, 9)},
                "/left": redirect("right", status),
                "/right": redirect("left", status),
                "/private/2": redirect("1", status),
                "/private/1": redirect(f"http://{PRIVATE}/", status),
            },
        )
    )
    follows = status in FOLLOWED

    for left in range(1, 9):
        assert outcome(internet, f"{url}{left}") == (PHOTO if follows and left <= 3 else UrlUnreachable)
    assert outcome(internet, f"{url}left") is UrlUnreachable
    assert outcome(internet, f"{url}private/2") is (UrlNotAllowed if follows else UrlUnreachable)
    assert len(set(internet.destinations)) == 1
    record(internet, 10)


def test_other_schemes_are_refused(internet: Internet, record: Record) -> None:
    internet.put(Site(PHOTO))
    forms = [
        "{}://photos.example/",
        "{}://photos.example:80/",
        "{}:photos.example",
        "{}:/photos.example",
        "{}:///a",
        "{}:",
    ]
    urls = [form.format(scheme) for form, scheme in product(forms, [*SCHEMES.split(), *SCHEMES.upper().split(), ""])]
    urls += [form.format(scheme) for form, scheme in product(forms[2:], ["http", "https"])]
    for url in urls:
        assert outcome(internet, url) is UrlNotAllowed, url

    assert internet.destinations == []
    record(internet, len(urls))


def test_credentials_are_refused(internet: Internet, scale: Scale, record: Record) -> None:
    random = Random(5)
    internet.put(Site(PHOTO))
    marks = re.sub(r"[\s/?#[\]]", "", printable) + "éß中"
    tried = scale.of(5_000, short=300)
    for _ in range(tried):
        user = "".join(random.choices(marks, k=random.randrange(12)))
        url = f"http://{user}@{random.choice(['photos.example', PRIVATE, '[::1]', PUBLIC])}/"
        assert outcome(internet, url) is UrlNotAllowed, url

    assert internet.destinations == []
    record(internet, tried)


def test_ports_of_other_services_are_refused(internet: Internet, scale: Scale, record: Record) -> None:
    internet.put(Site(PHOTO))
    ports = {22, 9001, 65535, 65536, 65536 + 80, *Random(6).sample(range(1, 65536), scale.of(20_000, short=500))}
    ports -= {80, 443, 8080, 8443}
    for port in ports:
        assert outcome(internet, f"http://photos.example:{port}/") is UrlNotAllowed, port

    assert internet.destinations == []
    record(internet, len(ports))


NASTY = [
    *"\r\n \t\0\x01\x7f\\@#?:;,/%.&=<>\"'`{}|^[]",
    *"\x85\xa0\xa8\xdf\u2028\u200b\ufdfa\ud800\U0001f642",  # line ends, spaces, symbols; "ß" becomes two letters
    *"\uff41\u3002\u2024\uff0f\uff1f\uff03\uff20\uff1a\u2100",  # normalization makes delimiters of them
    *("\r\nX-Injected: 1", " HTTP/1.1\r\nX-Injected: 1", "\r\n\r\nGET / HTTP/1.1\r\n\r\n", "%0d%0aX-Injected:1"),
    *(f"{mark}{PRIVATE}" for mark in ("@", "#@", "?@", "\\@", "\\\\", "//", "http://", ":80@")),
    *("127.0.0.1", "[::1]", ":80", ":22", "%00", "%2e", "%2f", "%40", "..", "//", "http://", "a"),
]
REQUEST = re.compile(
    rb"GET /[!-~]* HTTP/1\.1\r\nAccept: [^\r\n]*\r\nAccept-Encoding: identity\r\n"
    rb"User-Agent: clothes-classifier\r\nHost: \[?([a-z0-9._:-]*?)\]?(:8080)?\r\n\r\n"
)


def mangled(text: str, random: Random) -> str:
    for _ in range(random.choice([1, 1, 2, 3])):
        place = random.randint(0, len(text))
        text = text[:place] + random.choice(NASTY) + text[place + random.choice([0, 0, 1]) :]
    return text


def test_a_mangled_url_leads_to_a_well_formed_request_or_to_none(
    internet: Internet, scale: Scale, record: Record
) -> None:
    """The request names the host that was looked up, whatever another parser sees in the URL or the redirect."""
    random = Random(7)
    site = Site(PHOTO)
    internet.put(site)
    tried, requests = scale.of(10_000, short=500), 0
    for number in range(tried):
        url = mangled("http://photos.example:8080/folder/a.jpg?size=1", random)
        if number % 2 and max(url) <= "\xff":
            site.answers["/redirect"] = redirect(url)
            url = "http://photos.example/redirect"
        internet.lookups.clear()
        site.requests.clear()
        outcome(internet, url)

        requests += len(site.requests)
        for host, request in zip(internet.lookups, site.requests, strict=False):
            match = REQUEST.fullmatch(request)
            assert match, (url, request)
            assert match[1].decode() == host, (url, request)

    assert requests > tried / 4
    assert set(internet.destinations) == {PUBLIC}
    record(internet, tried)


# Answers of servers.

# The part of an answer that comes at once, and the piece that follows, slowly or without an end.
PARTS = {
    "nothing": (b"", b""),
    "the status": (b"HTTP/1.1 200 ", b"x"),
    "the name of a header": (OK, b"x"),
    "a header": (OK + b"X: ", b"x"),
    "a folded header": (OK + b"X: x\r\n", b" x\r\n"),
    "headers": (OK, b"X: x\r\n"),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "an interim answer": (b"HTTP/1.1 100 Continue\r\n", b"X: x\r\n"),
    "a body": (OK + b"\r\n", b"x"),
    "a body of some length": (OK + b"Content-Length: 99999\r\n\r\n", b"x"),
    "the size of a chunk": (CHUNKED, b"0"),
    "the extension of a chunk": (CHUNKED + b"1;", b"x"),
    "a chunk": (CHUNKED + b"ffffffffffffffff\r\n", b"x"),
    "a chunk of negative size": (CHUNKED + b"-9\r\n", b"x"),
    "chunks": (CHUNKED, b"1\r\nx\r\n"),
    "a trailer": (CHUNKED + b"0\r\nX: ", b"x"),
    "trailers": (CHUNKED + b"0\r\n", b"X: x\r\n"),
    "a redirect": (b"HTTP/1.1 302 Found\r\nLocation: /", b"x"),
}
HANDSHAKES = {
    "nothing": (b"", b""),
    "the head of a record": (b"\x16\x03", b""),
    "a record": (b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc", b"\0"),
    "records of a byte": (b"\x16\x03\x03\x00\x04\x02\x00\xff\xff", b"\x16\x03\x03\x00\x01\0"),
    "changes of cipher": (b"", b"\x14\x03\x03\x00\x01\x01"),
}


def slowly(piece: bytes, seconds: float) -> Iterator[bytes]:
    time.sleep(seconds)
    yield piece


def test_no_server_takes_longer_than_the_time_limit(
    internet: Internet, tls: ssl.SSLContext, scale: Scale, record: Record, record_property: Figure
) -> None:
    """A name server does not, either."""
    assert outcome(internet, internet.serve(Site(PHOTO), tls)) == PHOTO  # so the slow servers get past the handshake
    seconds = scale.of(4, short=1) / 4
    slow = [internet.serve(dripping(*part), context) for part in PARTS.values() for context in (None, tls)]
    slow += [internet.serve(dripping(*part)).replace("http", "https") for part in HANDSHAKES.values()]
    slow += [internet.serve(sending(lambda: slowly(redirect("/"), seconds / 3)))]
    internet.put_black_hole(PUBLIC)
    slow += [f"http://{PUBLIC}/", f"https://{PUBLIC}/"]
    floods = [(begin, piece * 1000) for begin, piece in PARTS.values() if piece and b"Length" not in begin]
    endless = [internet.serve(flooding(*flood), context) for flood in floods for context in (None, tls)]

    def fetch(url: str, **options: Any) -> tuple[str, Any, float]:
        started = time.monotonic()
        return url, outcome(internet, url, seconds=seconds, **options), time.monotonic() - started

    def resolve(host: str, port: int, **_: object) -> Any:
        time.sleep(3)
        return internet.resolve(host, port)

    with ThreadPoolExecutor(16) as pool:
        results = [fetch("http://slow.example/", resolve=resolve), *pool.map(fetch, slow), *map(fetch, endless)]

    assert [result for result in results if result[1] not in {UrlUnreachable, ImageTooLarge}] == []
    assert [result for result in results if result[2] > seconds + 2] == []
    record(internet, len(results))
    slowest = max(duration for *_, duration in results)
    record_property("percent of its time that the slowest took", round(100 * slowest / seconds))


BODY = bytes(range(250)) * 4


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (["999"], BODY[:-1]),
        (["0"], b""),
        (["1001"], UrlUnreachable),
        ([str(MAX_BYTES)], UrlUnreachable),
        ([str(MAX_BYTES + 1)], ImageTooLarge),
        (["9" * 4000], ImageTooLarge),
        (["9" * 40_000], BODY),  # Python reads neither this nor the next ones as a number
        (["-1"], BODY),
        (["0x3e8"], BODY),
        (["1e9"], BODY),
        (["1000, 1000"], BODY),
        ([""], BODY),
        (["10", "1000"], BODY[:10]),
        (["1000", "10"], BODY),
        (["1001", "1000"], UrlUnreachable),
    ],
)
def test_a_content_length_is_not_trusted(
    internet: Internet, stated: list[str], expected: object, record: Record
) -> None:
    """The received bytes are counted, and an incomplete body is an error."""
    head = OK + "".join(f"Content-Length: {length}\r\n" for length in stated).encode() + b"\r\n"

    assert outcome(internet, internet.serve(sending(lambda: [head, BODY]))) == expected
    assert outcome(internet, internet.serve(sending(lambda: [head, bytes(MAX_BYTES * 2)]))) != bytes(MAX_BYTES * 2)
    record(internet, 2)


def test_a_mangled_answer_is_a_small_body_or_an_error_of_ours(internet: Internet, scale: Scale, record: Record) -> None:
    random = Random(8)
    tried = scale.of(5_000, short=200)
    answers = [answer(BODY), CHUNKED + b"3e8\r\n" + BODY + b"\r\n0\r\nX: x\r\n\r\n", redirect("//[::1]/a;b?c#d")]
    site = Site(PHOTO)
    internet.put(site)
    for _ in range(tried):
        site.answers["/"] = mangled(random.choice(answers).decode("latin-1"), random).encode("latin-1", "replace")
        result = outcome(internet, "http://photos.example/")
        assert isinstance(result, type) or len(result) <= MAX_BYTES, site.answers["/"]

    record(internet, tried)


def test_a_body_is_not_decompressed(internet: Internet, record: Record) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    headers = "Content-Encoding", "Transfer-Encoding", "Content-Type"
    codings = "gzip", "x-gzip", "deflate", "br", "zstd", "gzip, gzip", "gzip, identity"
    for header, coding in product(headers, codings):
        assert outcome(internet, internet.serve(Site(bomb, {"/": answer(bomb, f"{header}: {coding}")}))) == bomb

    record(internet, len(headers) * len(codings))


def impostors(authority: trustme.CA) -> dict[str, ssl.SSLContext]:
    """Return the contexts of servers whose certificates are not valid for their names."""
    return {
        "another authority": server_context(trustme.CA().issue_cert("*.photos.example")),
        "another name": server_context(authority.issue_cert("example.com", "a.b.example")),
        "an expired certificate": server_context(
            authority.issue_cert("*.photos.example", not_after=datetime(2020, 1, 1, tzinfo=UTC))
        ),
    }


def trust_any_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_a_server_without_a_valid_certificate_gets_no_request(
    internet: Internet,
    tls: ssl.SSLContext,
    authority: trustme.CA,
    monkeypatch: pytest.MonkeyPatch,
    record: Record,
) -> None:
    """It does if certificates are not checked."""
    site = Site(PHOTO)
    urls = {kind: internet.serve(site, context) for kind, context in impostors(authority).items()}

    assert {kind: outcome(internet, url) for kind, url in urls.items()} == dict.fromkeys(urls, UrlUnreachable)
    assert site.requests == []
    monkeypatch.setattr(download, "tls_context", trust_any_certificate)
    assert {kind: outcome(internet, url) for kind, url in urls.items()} == dict.fromkeys(urls, PHOTO)
    record(internet, len(urls))


# Ordinary URLs.

NAT64 = "64:ff9b::5db8:d822"
PLAIN_SITES = [
    *("http://photos.example", "HTTP://PHOTOS.Example", "http://photos.example.", "http://b\xfccher.example"),
    *("http://a_b.example:80", "http://photos.example:8080", "http://both.example", "http://nat64.example"),
    *(f"http://{PUBLIC}", f"http://[{PUBLIC_IPV6}]", f"http://[{PUBLIC_IPV6.upper()}]:8080", f"http://[{NAT64}]"),
]
SECURE_SITES = [
    *("https://secure.photos.example", "HTTPS://Secure.Photos.EXAMPLE:443", "https://b\xfccher.photos.example"),
    *(f"https://{SECURE}", f"https://{SECURE}:8443"),
]
PATHS = """
/ /a.jpg /folder/a.jpg?size=1&name=x /a%20b.jpg /caf\xe9.jpg /caf%C3%A9.jpg ?size=1 /?size=1 #part /a.jpg#part
/a/../b.jpg //a.jpg /a?url=http://user@other.example:22/ /@a:b /a;b=c,d /a+b~c!d$e*f(g)'h /%2e%2e/a /[a] /%0d%0a
""".split()  # noqa: SIM905 - they read better so
LOCATIONS = [
    *("a.jpg", "/a.jpg", "../a.jpg", "?size=2", "a.jpg#part", "/a b.jpg", "/caf\xe9.jpg", "/caf\xc3\xa9.jpg"),
    *("//{host}/a.jpg", "http://photos.example/a.jpg", "https://secure.photos.example/a.jpg", f"HTTPS://{SECURE}:443"),
]
ANSWERS = [
    answer(PHOTO),
    answer(PHOTO, "content-type: image/jpeg", "Set-Cookie: a=b", "Connection: keep-alive"),
    OK + b"\r\n" + PHOTO,
    b"HTTP/1.0 200 OK\r\n\r\n" + PHOTO,
    b"HTTP/1.1 100 Continue\r\n\r\n" + answer(PHOTO),
    CHUNKED + b"3;x=y\r\n" + PHOTO[:3] + b"\r\n%x\r\n" % len(PHOTO[3:]) + PHOTO[3:] + b"\r\n0\r\nX: x\r\n\r\n",
]


def test_ordinary_urls_are_fetched(
    internet: Internet, tls: ssl.SSLContext, scale: Scale, record_property: Figure
) -> None:
    """They have http or https, names or addresses, ports of the web, and redirects of every kind."""
    random = Random(9)
    site = Site(PHOTO)
    for address in (PUBLIC, PUBLIC_IPV6, NAT64):
        internet.put(site, address)
    internet.put(site, SECURE, tls)
    internet.name("both.example", [PUBLIC_IPV6, PUBLIC])
    internet.name("nat64.example", [NAT64])
    for name in ("secure.photos.example", "xn--bcher-kva.photos.example"):
        internet.name(name, [SECURE])
    fetched = scale.of(3_000, short=150)
    for _ in range(fetched):
        begin = random.choice([*PLAIN_SITES, *SECURE_SITES])
        host = begin.partition("//")[2].encode("idna").decode()
        site.answers = {"/a.jpg": random.choice(ANSWERS)}
        for left in (2, 1, 0):
            location = f"{left - 1}" if left else random.choice(LOCATIONS).format(host=host)
            site.answers[f"/{left}"] = redirect(location, random.choice(FOLLOWED))
        url = begin + random.choice([*PATHS, "/0", "/1", "/2"])

        assert outcome(internet, url) == PHOTO, (url, site.answers)

    record_property("ordinary URLs fetched", fetched)


# Without a guard.

Remove = Callable[[pytest.MonkeyPatch], None]
Attack = Callable[[Internet], bool]


def replacing(name: str, value: Any) -> Remove:
    """Return a function that replaces an attribute of the module `download`."""
    return lambda monkeypatch: monkeypatch.setattr(download, name, value)


def overriding(name: str, value: Any) -> Remove:
    """Return a function that replaces a method of `Downloader`."""
    return lambda monkeypatch: monkeypatch.setattr(Downloader, name, value)


def stealing(url: str) -> Attack:
    """Return an attack that fetches the secret of the private network."""
    return lambda internet: outcome(internet, url) == SECRET


def fetching(url: str) -> Attack:
    """Return an attack that fetches a photo from a URL that is not allowed."""
    return lambda internet: outcome(internet, url) == PHOTO


def sending_as_photo(*pieces: bytes) -> Attack:
    """Return an attack by a server that sends these pieces, which must not be accepted."""
    return lambda internet: isinstance(outcome(internet, internet.serve(sending(lambda: pieces))), bytes)


def delaying(attack: Callable[[Internet], Any]) -> Attack:
    """Return an attack that takes much longer than the time limit."""

    def delay(internet: Internet) -> bool:
        started = time.monotonic()
        attack(internet)
        return time.monotonic() - started > 0.6

    return delay


SHORT = 0.15  # seconds


def drip(internet: Internet) -> object:
    return outcome(internet, internet.serve(dripping(*PARTS["a body"], seconds=0.7)), seconds=SHORT)


def hang_in_lookup(internet: Internet) -> object:
    def resolve(host: str, port: int, **_: object) -> Any:
        time.sleep(0.7)
        return internet.resolve(host, port)

    return outcome(internet, "http://photos.example/", seconds=SHORT, resolve=resolve)


def hang_in_connect(internet: Internet) -> object:
    hole = internet.put_black_hole("93.184.216.99")
    Timer(0.7, hole.stop).start()
    return outcome(internet, "http://93.184.216.99/", seconds=SHORT)


def end_at_the_deadline(internet: Internet) -> bool:
    """Return whether a body that is cut at the deadline is accepted."""
    url = internet.serve(dripping(*PARTS["a body"], seconds=0.7))
    return isinstance(outcome(internet, url, seconds=0.4), bytes)


def shut_down_early(deadline: float, connection: socket.socket) -> Any:
    """Shut down before the deadline, so that the check of the time after the body comes too early."""
    return SHUT_DOWN_AT(deadline - 0.3, connection)


def end_tls(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def begin_tls_after_the_deadline(internet: Internet) -> bool:
    """Return whether that raises another error than `UrlUnreachable`."""
    internet.seconds_to_connect = 2 * SHORT
    url = internet.serve(Site(PHOTO)).replace("http", "https")
    try:
        return outcome(internet, url, seconds=SHORT) is not UrlUnreachable
    except (AttributeError, ValueError):
        return True


def redirect_to_malformed_url(internet: Internet) -> bool:
    """Return whether that raises another error than `UrlNotAllowed`."""
    try:
        return outcome(internet, internet.serve(Site(b"", {"/": redirect("//[")}))) is not UrlNotAllowed
    except ValueError:
        return True


def rebind(internet: Internet) -> bool:
    internet.name("rebinding.example", [PUBLIC], [PRIVATE])
    return outcome(internet, "http://rebinding.example/") == SECRET


def connect_by_name(self: Downloader, target: Any, deadline: float) -> socket.socket:
    """Check the addresses of one lookup, and connect to an address of another."""
    CONNECT(self, target, deadline).close()
    family, kind, protocol, _, address = self.resolve(target.host, target.port)[0]
    connection = socket.socket(family, kind, protocol)
    connection.connect(address)
    return connection


def redirect_to_private(internet: Internet) -> bool:
    return outcome(internet, internet.serve(Site(PHOTO, {"/": redirect(f"http://{PRIVATE}/")}))) == SECRET


def check_the_first_address_only(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = iter([is_public])
    monkeypatch.setattr(download, "is_public", lambda ip: all(check(ip) for check in checks))


def redirect_often(internet: Internet) -> bool:
    pages = {f"/{left}": redirect(f"/{left - 1}") for left in range(1, 9)}
    return outcome(internet, internet.serve(Site(PHOTO, pages)) + "8") == PHOTO


def name_two(internet: Internet) -> bool:
    internet.name("two.example", [PUBLIC, PRIVATE])
    return outcome(internet, "http://two.example/") == PHOTO


def inject(internet: Internet) -> bool:
    """Return whether the URL can add a header to the request."""
    site = Site(PHOTO)
    outcome(internet, internet.serve(site) + "a HTTP/1.1\r\nX-Injected: 1\r\nX-Rest:")
    return any(b"\nX-Injected" in request for request in site.requests)


def send_unquoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the URL's path into the request as it is. `http.client`, which would refuse it, is not used."""

    def parse(url: str) -> Any:
        host, _, path = url.removeprefix("http://").partition("/")
        return Target(secure=False, host=host, port=80, path=f"/{path}")

    def send(connection: socket.socket, target: Any) -> HTTPResponse:
        connection.sendall(f"GET {target.path} HTTP/1.1\r\nHost: {target.host}\r\n\r\n".encode())
        response = HTTPResponse(connection)
        response.begin()
        return response

    monkeypatch.setattr(download, "parse_url", parse)
    monkeypatch.setattr(download, "send_request", send)


class Unsuspicious(str):
    """Text that claims to hold ordinary characters only."""

    __slots__ = ()

    def isprintable(self) -> bool:
        return True

    def __contains__(self, _: object) -> bool:
        return False


def read_without_checks(_: Downloader, response: HTTPResponse) -> bytes:
    return b"".join(iter(lambda: response.read1(MAX_BYTES), b""))


def lift_the_size_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(internet_module, "MAX_BYTES", 100 * MAX_BYTES)


def expand(internet: Internet) -> bool:
    """Return whether a small body can become larger than the limit."""
    bomb = gzip.compress(bytes(2 * MAX_BYTES))
    result = outcome(internet, internet.serve(Site(bomb)))
    return isinstance(result, bytes) and len(result) > MAX_BYTES


# The originals of what is replaced.
FETCH, CONNECT, LOOK_UP = Downloader.fetch, Downloader.connect, Downloader.look_up
PARSE_URL, SHUT_DOWN_AT = download.parse_url, download.shut_down_at
NETWORKS = download.SPECIAL_NETWORKS
EVERYTHING = IPv6Network("::/0")


def forget_nat64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "NAT64", IPv6Network("::/128"))
    monkeypatch.setattr(download, "GLOBAL_UNICAST", EVERYTHING)


GUARDS: dict[str, tuple[Remove, Attack]] = {
    **{
        f"network {network}": (
            replacing("SPECIAL_NETWORKS", [other for other in NETWORKS if other != network]),
            stealing(f"http://[{network[-1]}]/" if network.version == 6 else f"http://{network[-1]}/"),
        )
        for network in NETWORKS
    },
    "global unicast": (replacing("GLOBAL_UNICAST", EVERYTHING), stealing("http://[fd00:ec2::254]/")),
    "ISATAP": (replacing("ISATAP", None), stealing("http://[2600::5efe:a9fe:a9fe]/")),
    "NAT64": (forget_nat64, stealing("http://[64:ff9b::a9fe:a9fe]/")),
    "addresses": (replacing("is_public", lambda _: True), stealing(f"http://{PRIVATE}/")),
    "all addresses": (overriding("look_up", lambda *arguments: LOOK_UP(*arguments)[:1]), name_two),
    "one lookup": (overriding("connect", connect_by_name), rebind),
    "redirects' addresses": (check_the_first_address_only, redirect_to_private),
    "number of redirects": (replacing("MAX_REDIRECTS", 9), redirect_often),
    "form of redirects": (replacing("resolve_redirect", urljoin), redirect_to_malformed_url),
    "ports": (replacing("ALLOWED_PORTS", range(65536)), fetching("http://photos.example:22/")),
    "schemes": (replacing("DEFAULT_PORTS", {"http": 80, "ftp": 80}), fetching("ftp://photos.example/")),
    "credentials": (
        replacing("urlsplit", lambda url: urlsplit(re.sub("//[^/]*@", "//", url))),
        fetching("http://user:secret@photos.example/"),
    ),
    "length": (replacing("MAX_URL_LENGTH", 9000), fetching("http://photos.example/" + "a" * 3000)),
    "hosts": (replacing("HOST_PATTERN", re.compile(".*")), fetching("http://photos\\a.example/")),
    "characters": (
        replacing("parse_url", lambda url: PARSE_URL(Unsuspicious(url))),
        fetching("http://photos.example/a\nb c"),
    ),
    "quoting": (send_unquoted, inject),
    "time": (replacing("shut_down", lambda _: None), delaying(drip)),
    "time to look up": (
        overriding("look_up", lambda self, target, _: self.resolve(target.host, target.port)),
        delaying(hang_in_lookup),
    ),
    "time to connect": (
        lambda monkeypatch: monkeypatch.setattr(socket.socket, "settimeout", lambda *_: None),
        delaying(hang_in_connect),
    ),
    "time at the end": (replacing("shut_down_at", shut_down_early), end_at_the_deadline),
    "time of TLS": (replacing("shut_down", end_tls), begin_tls_after_the_deadline),
    "size": (lift_the_size_limit, sending_as_photo(OK, b"\r\n", bytes(2 * MAX_BYTES))),
    "stated size": (lift_the_size_limit, sending_as_photo(answer(bytes(2 * MAX_BYTES)))),
    "completeness": (
        overriding("read_body", read_without_checks),
        sending_as_photo(OK, b"Content-Length: 9\r\n\r\n", b"half"),
    ),
    "no decompression": (overriding("fetch", lambda *arguments: gzip.decompress(FETCH(*arguments))), expand),
}


@pytest.mark.parametrize(("remove", "attack"), GUARDS.values(), ids=GUARDS)
def test_an_attack_succeeds_without_its_guard(
    internet: Internet, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, remove: Remove, attack: Attack
) -> None:
    """With the guard, the same attack fails."""
    internet.put(Site(PHOTO))

    assert not attack(internet)
    remove(monkeypatch)
    assert any(attack(internet) for _ in range(3))  # on a busy machine it may fail for lack of time
