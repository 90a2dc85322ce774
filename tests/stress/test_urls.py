"""Strangers' URLs: none leads to an address that is not public, none takes longer than it may, ordinary ones do."""

import gzip
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPResponse
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from itertools import product
from random import Random
from string import printable
from threading import Timer
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
import trustme

from addresses import METADATA, SPECIAL, hosts, outside, sample
from classifier import download
from classifier.download import Downloader, is_public
from classifier.errors import ClassifierError, ImageTooLarge, UrlNotAllowed, UrlUnreachable
from conftest import Scale
from internet import (
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

SECURE = "93.184.216.33"  # whose servers speak TLS
PHOTO = b"the photo's bytes"
INSIDE = "169.254.169.254"
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
    """Where all sockets of this process are."""
    made = Internet()
    # A function, which becomes a method of sockets.
    monkeypatch.setattr(socket.socket, "connect", lambda connection, place: made.connect(connection, place))  # noqa: PLW0108
    yield made
    made.stop()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """The one whose certificates are trusted."""
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """For servers that are who they say they are."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trusting)
    monkeypatch.setattr(download, "_tls", lambda: trusting)
    return certified(authority.issue_cert("*.photos.example", SECURE))


def certified(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def record(record_property: Figure) -> Record:
    """How many attacks there were, and that none got inside."""

    def counted(internet: Internet, attacks: int) -> None:
        connections = internet.inside_connections()
        assert connections == 0
        record_property("attacks", attacks)
        record_property("connections to the inside", connections)

    return counted


def outcome(internet: Internet, url: str, **options: Any) -> bytes | type[ClassifierError]:
    """The photo, or the kind of error."""
    try:
        return internet.fetch(url, **options)
    except ClassifierError as error:
        return type(error)


# Where URLs lead.


def test_addresses_that_are_not_public_are_refused(internet: Internet, scale: Scale, record: Record) -> None:
    """However they are spelt, in whatever other address they hide, and whichever name leads to them."""
    random = Random(0)
    tried, taken = 0, []
    for ip in [*METADATA, *(ip for network in SPECIAL for ip in sample(network, random, scale.of(25, short=0)))]:
        internet.elsewhere = str(ip)
        for host in ["name.example", *hosts(ip, random)]:
            url = f"{random.choice(['http', 'https'])}://{host}{random.choice(['', ':80', ':8443'])}/a.jpg"
            tried += 1
            if outcome(internet, url) is not UrlNotAllowed:
                taken.append(url)

    assert taken == []
    assert internet.destinations == []
    record(internet, tried)


def test_addresses_beside_those_are_public() -> None:
    beside = {ip for network in SPECIAL for ip in outside(network)}

    assert len(beside) > 30
    assert {ip for ip in beside if not is_public(ip)} == set()


def test_nothing_is_public_that_python_takes_for_private(scale: Scale) -> None:
    """Whichever version of it this is."""
    random = Random(1)
    for _ in range(scale.of(100_000, short=2_000)):
        for ip in (IPv4Address(random.getrandbits(32)), IPv6Address((1 << 125) + random.getrandbits(125))):
            assert ip.is_global or not is_public(ip), ip


def test_loopback_sockets_are_not_reached(scale: Scale, record_property: Figure) -> None:
    """Real ones, by spellings that lead there where they are let through."""
    random = Random(2)
    addresses = ["127.0.0.1", *(f"127.{random.randrange(256)}.0.{random.randrange(1, 255)}" for _ in range(2))]
    listeners = {ip_address(address): Listener(Site(SECRET), address=address) for address in addresses}
    urls = [
        f"http://{host}:{listener.place[1]}/"
        for ip, listener in listeners.items()
        for _ in range(scale.of(10, short=1))
        for host in hosts(ip, random)
    ]

    def connections(*, allow_loopback: bool) -> int:
        for url in urls:
            with suppress(ClassifierError):
                Downloader(MAX_BYTES, allow_loopback=allow_loopback, resolve=numeric).fetch(url)
        return sum(listener.settled_connections() for listener in listeners.values())

    assert connections(allow_loopback=False) == 0
    assert connections(allow_loopback=True) > len(urls) / 2
    for listener in listeners.values():
        listener.stop()
    record_property("attacks", len(urls))


def test_names_with_any_address_inside_are_refused(internet: Internet, scale: Scale, record: Record) -> None:
    random = Random(3)
    public = [PUBLIC, PUBLIC_IPV6, "1.1.1.1", "64:ff9b::808:808"]
    tried = scale.of(3_000, short=200)
    for number in range(tried):
        addresses = random.sample(public, random.randrange(len(public)))
        inside = random.choice([*METADATA, *sample(random.choice(SPECIAL), random, 1)])
        addresses.insert(random.randint(0, len(addresses)), str(inside))
        internet.name(f"{number}.example", addresses)

        assert outcome(internet, f"http://{number}.example/") is UrlNotAllowed, addresses

    assert internet.destinations == []
    record(internet, tried)


def test_names_are_looked_up_once_for_each_connection(internet: Internet, record: Record) -> None:
    """And the second answer is another one."""
    internet.put(Site(PHOTO, {"/again": redirect("/a.jpg")}))
    for number in range(20):
        internet.name(f"{number}.example", [PUBLIC], [INSIDE])
        internet.name(f"again-{number}.example", [PUBLIC], [INSIDE])

        assert outcome(internet, f"http://{number}.example/a.jpg") == PHOTO
        assert outcome(internet, f"http://again-{number}.example/again") is UrlNotAllowed

    assert set(internet.destinations) == {PUBLIC}
    record(internet, 40)


def locations(random: Random, number: int) -> Iterator[str]:
    """Ways into the inside, or out of the web."""
    for scheme, rest in product(SCHEMES.split(), ["//photos.example/a.jpg", "a.jpg", "///etc/passwd"]):
        yield f"{scheme}:{rest}"
    for _ in range(number):
        ip = random.choice([*METADATA, *sample(random.choice(SPECIAL), random, 1)])
        host = random.choice(list(hosts(ip, random)))
        yield random.choice(["http:", "https:", "HTTP:", ""]) + f"//{host}/latest/meta-data/"


def test_redirects_into_the_inside_are_refused(internet: Internet, scale: Scale, record: Record) -> None:
    random = Random(4)
    site = Site(PHOTO)
    url = internet.serve(site)
    internet.elsewhere = INSIDE
    tried = 0
    for location in locations(random, scale.of(2_000, short=50)):
        if location.isascii():  # nothing else fits into a header
            site.answers["/"] = redirect(location, random.choice(FOLLOWED))
            tried += 1
            assert outcome(internet, url) is UrlNotAllowed, location

    assert len(set(internet.destinations)) == 1
    record(internet, tried)


@pytest.mark.parametrize("status", range(300, 310))
def test_chains_of_redirects_end(internet: Internet, status: int, record: Record) -> None:
    """At the third, or where they lead inside."""
    url = internet.serve(
        Site(
            PHOTO,
            {
                **{f"/{left}": redirect(f"/{left - 1}", status) for left in range(1, 9)},
                "/left": redirect("right", status),
                "/right": redirect("left", status),
                "/inside/2": redirect("1", status),
                "/inside/1": redirect(f"http://{INSIDE}/", status),
            },
        )
    )
    follows = status in FOLLOWED

    for left in range(1, 9):
        assert outcome(internet, f"{url}{left}") == (PHOTO if follows and left <= 3 else UrlUnreachable)
    assert outcome(internet, f"{url}left") is UrlUnreachable
    assert outcome(internet, f"{url}inside/2") is (UrlNotAllowed if follows else UrlUnreachable)
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
        url = f"http://{user}@{random.choice(['photos.example', INSIDE, '[::1]', PUBLIC])}/"
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
    *"\x85\xa0\xa8\xdf\u2028\u200b\ufdfa\ud800\U0001f642",  # ends of lines, spaces, what is no letter or becomes many
    *"\uff41\u3002\u2024\uff0f\uff1f\uff03\uff20\uff1a\u2100",  # what looks like the marks of a URL, and may become one
    *("\r\nX-Injected: 1", " HTTP/1.1\r\nX-Injected: 1", "\r\n\r\nGET / HTTP/1.1\r\n\r\n", "%0d%0aX-Injected:1"),
    *(f"{mark}{INSIDE}" for mark in ("@", "#@", "?@", "\\@", "\\\\", "//", "http://", ":80@")),
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


def test_mangled_urls_make_plain_requests_or_none(internet: Internet, scale: Scale, record: Record) -> None:
    """To the host that was looked up, whatever another reader may see in the URL, or in the redirect."""
    random = Random(7)
    site = Site(PHOTO)
    internet.put(site)
    tried, requests = scale.of(10_000, short=500), 0
    for number in range(tried):
        url = mangled("http://photos.example:8080/folder/a.jpg?size=1", random)
        if number % 2 and max(url) <= "\xff":
            site.answers["/redirect"] = redirect(url)
            url = "http://photos.example/redirect"
        internet.look_ups.clear()
        site.requests.clear()
        outcome(internet, url)

        requests += len(site.requests)
        for host, request in zip(internet.look_ups, site.requests, strict=False):
            match = REQUEST.fullmatch(request)
            assert match, (url, request)
            assert match[1].decode() == host, (url, request)

    assert requests > tried / 4
    assert set(internet.destinations) == {PUBLIC}
    record(internet, tried)


# What servers answer.

# What comes at once, and what comes then, slowly or for ever.
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


def test_no_server_takes_longer_than_it_may(
    internet: Internet, tls: ssl.SSLContext, scale: Scale, record: Record, record_property: Figure
) -> None:
    """Nor a name server."""
    assert outcome(internet, internet.serve(Site(PHOTO), tls)) == PHOTO  # others may take their time in TLS, too
    seconds = scale.of(4, short=1) / 4
    slow = [internet.serve(dripping(*part), context) for part in PARTS.values() for context in (None, tls)]
    slow += [internet.serve(dripping(*part)).replace("http", "https") for part in HANDSHAKES.values()]
    slow += [internet.serve(sending(lambda: slowly(redirect("/"), seconds / 3)))]
    internet.put_black_hole(PUBLIC)
    slow += [f"http://{PUBLIC}/", f"https://{PUBLIC}/"]
    floods = [(begin, piece * 1000) for begin, piece in PARTS.values() if piece and b"Length" not in begin]
    endless = [internet.serve(flooding(*flood), context) for flood in floods for context in (None, tls)]

    def take(url: str, **options: Any) -> tuple[str, Any, float]:
        started = time.monotonic()
        return url, outcome(internet, url, seconds=seconds, **options), time.monotonic() - started

    def resolve(host: str, port: int, **_: object) -> Any:
        time.sleep(3)
        return internet.resolve(host, port)

    with ThreadPoolExecutor(16) as pool:
        taken = [take("http://slow.example/", resolve=resolve), *pool.map(take, slow), *map(take, endless)]

    assert [result for result in taken if result[1] not in {UrlUnreachable, ImageTooLarge}] == []
    assert [result for result in taken if result[2] > seconds + 2] == []
    record(internet, len(taken))
    record_property("percent of its time that the slowest took", round(100 * max(took for *_, took in taken) / seconds))


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
        (["9" * 40_000], BODY),  # no number for Python, nor are the next ones
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
def test_no_stated_length_is_trusted(internet: Internet, stated: list[str], expected: object, record: Record) -> None:
    """The bytes that come are counted, and a body that is cut short is none."""
    head = OK + "".join(f"Content-Length: {length}\r\n" for length in stated).encode() + b"\r\n"

    assert outcome(internet, internet.serve(sending(lambda: [head, BODY]))) == expected
    assert outcome(internet, internet.serve(sending(lambda: [head, bytes(MAX_BYTES * 2)]))) != bytes(MAX_BYTES * 2)
    record(internet, 2)


def test_mangled_answers_are_photos_or_errors_of_ours(internet: Internet, scale: Scale, record: Record) -> None:
    """And never more than the limit."""
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


def test_nothing_is_decompressed(internet: Internet, record: Record) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    headers = "Content-Encoding", "Transfer-Encoding", "Content-Type"
    codings = "gzip", "x-gzip", "deflate", "br", "zstd", "gzip, gzip", "gzip, identity"
    for header, coding in product(headers, codings):
        assert outcome(internet, internet.serve(Site(bomb, {"/": answer(bomb, f"{header}: {coding}")}))) == bomb

    record(internet, len(headers) * len(codings))


def impostors(authority: trustme.CA) -> dict[str, ssl.SSLContext]:
    """Servers that can't prove whose they are."""
    return {
        "another authority": certified(trustme.CA().issue_cert("*.photos.example")),
        "another name": certified(authority.issue_cert("example.com", "a.b.example")),
        "an expired certificate": certified(
            authority.issue_cert("*.photos.example", not_after=datetime(2020, 1, 1, tzinfo=UTC))
        ),
    }


def trust_everybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_impostors_are_not_asked(
    internet: Internet,
    tls: ssl.SSLContext,
    authority: trustme.CA,
    monkeypatch: pytest.MonkeyPatch,
    record: Record,
) -> None:
    """They would be, were it not for their certificates."""
    site = Site(PHOTO)
    urls = {kind: internet.serve(site, context) for kind, context in impostors(authority).items()}

    assert {kind: outcome(internet, url) for kind, url in urls.items()} == dict.fromkeys(urls, UrlUnreachable)
    assert site.requests == []
    monkeypatch.setattr(download, "_tls", trust_everybody)
    assert {kind: outcome(internet, url) for kind, url in urls.items()} == dict.fromkeys(urls, PHOTO)
    record(internet, len(urls))


# What is to be fetched.

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
    """Over http and https, by names and by addresses, on the web's ports, and along redirects of every kind."""
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


# What happens without the guards.

Remove = Callable[[pytest.MonkeyPatch], None]
Attack = Callable[[Internet], bool]


def replacing(name: str, value: Any) -> Remove:
    """Put something else in the place of one of the module's own."""
    return lambda monkeypatch: monkeypatch.setattr(download, name, value)


def overriding(name: str, value: Any) -> Remove:
    """Likewise for a method."""
    return lambda monkeypatch: monkeypatch.setattr(Downloader, name, value)


def stealing(url: str) -> Attack:
    return lambda internet: outcome(internet, url) == SECRET


def fetching(url: str) -> Attack:
    return lambda internet: outcome(internet, url) == PHOTO


def being_sent(*pieces: bytes) -> Attack:
    """Take for a photo what a server sends."""
    return lambda internet: isinstance(outcome(internet, internet.serve(sending(lambda: pieces))), bytes)


def holding(attack: Callable[[Internet], Any]) -> Attack:
    """Keep the function waiting for long after its time."""

    def hold(internet: Internet) -> bool:
        started = time.monotonic()
        attack(internet)
        return time.monotonic() - started > 0.6

    return hold


HURRY = 0.15  # seconds


def drip(internet: Internet) -> object:
    return outcome(internet, internet.serve(dripping(*PARTS["a body"], seconds=0.7)), seconds=HURRY)


def hang_in_look_up(internet: Internet) -> object:
    def resolve(host: str, port: int, **_: object) -> Any:
        time.sleep(0.7)
        return internet.resolve(host, port)

    return outcome(internet, "http://photos.example/", seconds=HURRY, resolve=resolve)


def hang_in_connect(internet: Internet) -> object:
    hole = internet.put_black_hole("93.184.216.99")
    Timer(0.7, hole.stop).start()
    return outcome(internet, "http://93.184.216.99/", seconds=HURRY)


def cut_at_the_deadline(internet: Internet) -> bool:
    url = internet.serve(dripping(*PARTS["a body"], seconds=0.7))
    return isinstance(outcome(internet, url, seconds=0.4), bytes)


def shut_down_early(deadline: float, connection: socket.socket) -> Any:
    """So that whoever looks at the clock afterwards looks too soon."""
    return SHUT_DOWN_AT(deadline - 0.3, connection)


def end_tls(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def crash_at_the_deadline(internet: Internet) -> bool:
    """Let TLS begin when the time is up."""
    internet.seconds_to_connect = 2 * HURRY
    url = internet.serve(Site(PHOTO)).replace("http", "https")
    try:
        return outcome(internet, url, seconds=HURRY) is not UrlUnreachable
    except (AttributeError, ValueError):
        return True


def crash_in_redirect(internet: Internet) -> bool:
    try:
        return outcome(internet, internet.serve(Site(b"", {"/": redirect("//[")}))) is not UrlNotAllowed
    except ValueError:
        return True


def rebind(internet: Internet) -> bool:
    internet.name("rebinding.example", [PUBLIC], [INSIDE])
    return outcome(internet, "http://rebinding.example/") == SECRET


def connect_by_name(self: Downloader, target: Any, deadline: float) -> socket.socket:
    CONNECT(self, target, deadline).close()
    family, kind, protocol, _, place = self.resolve(target.host, target.port)[0]
    connection = socket.socket(family, kind, protocol)
    connection.connect(place)
    return connection


def redirect_inside(internet: Internet) -> bool:
    return outcome(internet, internet.serve(Site(PHOTO, {"/": redirect(f"http://{INSIDE}/")}))) == SECRET


def check_once() -> Any:
    checks = iter([CHECK])

    def check(self: Downloader, address: str, port: int) -> None:
        for original in checks:
            original(self, address, port)

    return check


def redirect_often(internet: Internet) -> bool:
    pages = {f"/{left}": redirect(f"/{left - 1}") for left in range(1, 9)}
    return outcome(internet, internet.serve(Site(PHOTO, pages)) + "8") == PHOTO


def name_two(internet: Internet) -> bool:
    internet.name("two.example", [PUBLIC, INSIDE])
    return outcome(internet, "http://two.example/") == PHOTO


def inject(internet: Internet) -> bool:
    site = Site(PHOTO)
    outcome(internet, internet.serve(site) + "a HTTP/1.1\r\nX-Injected: 1\r\nX-Rest:")
    return any(b"\nX-Injected" in request for request in site.requests)


def pass_on_carelessly(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(url: str) -> Any:
        host, _, path = url.removeprefix("http://").partition("/")
        return TARGET(secure=False, host=host, port=80, path=f"/{path}")

    monkeypatch.setattr(download, "_parse", parse)
    monkeypatch.setattr(HTTPConnection, "_validate_path", lambda *_: None)


class Unsuspicious(str):
    """Seems to hold ordinary characters alone."""

    __slots__ = ()

    def isprintable(self) -> bool:
        return True

    def __contains__(self, _: object) -> bool:
        return False


def read_simply(_: Downloader, response: HTTPResponse) -> bytes:
    return b"".join(iter(lambda: response.read1(MAX_BYTES), b""))


def expand(internet: Internet) -> bool:
    bomb = gzip.compress(bytes(2 * MAX_BYTES))
    result = outcome(internet, internet.serve(Site(bomb)))
    return isinstance(result, bytes) and len(result) > MAX_BYTES


# Of the product, whatever a test puts in their place.
CHECK, CONNECT, READ = Downloader._check, Downloader._connect, Downloader._read  # noqa: SLF001
LOOK_UP, PARSE, SHUT_DOWN_AT = Downloader._look_up, download._parse, download._shut_down_at  # noqa: SLF001
NETWORKS, TARGET = download._SPECIAL, download._Target  # noqa: SLF001
EVERYTHING = IPv6Network("::/0")


def forget_nat64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_NAT64", IPv6Network("::/128"))
    monkeypatch.setattr(download, "_GLOBAL_UNICAST", EVERYTHING)


GUARDS: dict[str, tuple[Remove, Attack]] = {
    **{
        f"network {network}": (
            replacing("_SPECIAL", [other for other in NETWORKS if other != network]),
            stealing(f"http://[{network[-1]}]/" if network.version == 6 else f"http://{network[-1]}/"),
        )
        for network in NETWORKS
    },
    "global unicast": (replacing("_GLOBAL_UNICAST", EVERYTHING), stealing("http://[fd00:ec2::254]/")),
    "ISATAP": (replacing("_ISATAP", None), stealing("http://[2600::5efe:a9fe:a9fe]/")),
    "NAT64": (forget_nat64, stealing("http://[64:ff9b::a9fe:a9fe]/")),
    "addresses": (replacing("is_public", lambda _: True), stealing(f"http://{INSIDE}/")),
    "all addresses": (overriding("_look_up", lambda *arguments: LOOK_UP(*arguments)[:1]), name_two),
    "one look-up": (overriding("_connect", connect_by_name), rebind),
    "redirects' addresses": (overriding("_check", check_once()), redirect_inside),
    "redirects' number": (replacing("_REDIRECTS", 9), redirect_often),
    "redirects' form": (replacing("_redirected", urljoin), crash_in_redirect),
    "ports": (replacing("_PORTS", range(65536)), fetching("http://photos.example:22/")),
    "schemes": (replacing("_DEFAULT_PORTS", {"http": 80, "ftp": 80}), fetching("ftp://photos.example/")),
    "credentials": (
        replacing("urlsplit", lambda url: urlsplit(re.sub("//[^/]*@", "//", url))),
        fetching("http://user:secret@photos.example/"),
    ),
    "length": (replacing("_LONGEST_URL", 9000), fetching("http://photos.example/" + "a" * 3000)),
    "hosts": (replacing("_HOST", re.compile(".*")), fetching("http://photos\\a.example/")),
    "characters": (replacing("_parse", lambda url: PARSE(Unsuspicious(url))), fetching("http://photos.example/a\nb c")),
    "quoting": (pass_on_carelessly, inject),
    "time": (replacing("_shut_down", lambda _: None), holding(drip)),
    "time to look up": (
        overriding("_look_up", lambda self, target, _: self.resolve(target.host, target.port)),
        holding(hang_in_look_up),
    ),
    "time to connect": (
        lambda monkeypatch: monkeypatch.setattr(socket.socket, "settimeout", lambda *_: None),
        holding(hang_in_connect),
    ),
    "time of the end": (replacing("_shut_down_at", shut_down_early), cut_at_the_deadline),
    "time of TLS": (replacing("_shut_down", end_tls), crash_at_the_deadline),
    "size": (overriding("_refuse_size", lambda _: None), being_sent(OK, b"\r\n", bytes(2 * MAX_BYTES))),
    "stated size": (overriding("_refuse_size", lambda _: None), being_sent(answer(bytes(2 * MAX_BYTES)))),
    "completeness": (overriding("_read", read_simply), being_sent(OK, b"Content-Length: 9\r\n\r\n", b"half")),
    "no compression": (overriding("_read", lambda *arguments: gzip.decompress(READ(*arguments))), expand),
}


@pytest.mark.parametrize(("remove", "attack"), GUARDS.values(), ids=GUARDS)
def test_without_a_guard_an_attack_succeeds(
    internet: Internet, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, remove: Remove, attack: Attack
) -> None:
    """And with it the same one does not."""
    internet.put(Site(PHOTO))

    assert not attack(internet)
    remove(monkeypatch)
    assert any(attack(internet) for _ in range(3))  # on a busy machine it may fail for lack of time
