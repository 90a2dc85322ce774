"""Addresses that are not public, and the ways to write them."""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from random import Random

# Networks that are not globally reachable, of IANA's registries of special-purpose addresses and of address space:
# the latter have multicast, reserved, and unallocated IPv6 networks. The networks overlap as in the registries.
_SPECIAL = """
0.0.0.0/8 0.0.0.0/32 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.0.0/29
192.0.0.8/32 192.0.0.170/31 192.0.2.0/24 192.88.99.0/24 192.88.99.2/32 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24
203.0.113.0/24 224.0.0.0/4 224.0.0.0/24 233.252.0.0/24 239.0.0.0/8 240.0.0.0/4 255.255.255.255/32
::/128 ::1/128 ::ffff:0:0/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001::/32 2001:2::/48 2001:10::/28
2001:db8::/32 2002::/16 3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8 ff02::/16 ff0e::/16 ::/96 ::/8 100::/8
200::/7 400::/6 800::/5 1000::/4 4000::/3 6000::/3 8000::/3 a000::/3 c000::/3 e000::/4 f000::/5 f800::/6 fe00::/9
"""
SPECIAL = [ip_network(network) for network in _SPECIAL.split()]

# Where clouds and containers serve metadata and credentials. Azure's address is in no registry.
_METADATA = """
169.254.169.254 169.254.170.2 169.254.170.23 169.254.100.1 100.100.100.200 192.0.0.192 168.63.129.16
fd00:ec2::254 fd00:ec2::23 fd20:ce::254 fe80::a9fe:a9fe
"""
METADATA = [ip_address(address) for address in _METADATA.split()]

_WRITINGS: list[Callable[[int], str]] = [
    str,
    "0{:o}".format,
    "0000000{:o}".format,
    "0x{:x}".format,
    "0X{:X}".format,
    "0x00000000{:x}".format,
]
_DOTS = "\u3002\uff0e\uff61\u2024\ufe52"
_DIGITS = [
    "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19",  # full-width
    "\u24ea\u2460\u2461\u2462\u2463\u2464\u2465\u2466\u2467\u2468",  # in circles
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079",  # superscript
    "\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089",  # subscript
    "\U0001d7ce\U0001d7cf\U0001d7d0\U0001d7d1\U0001d7d2\U0001d7d3\U0001d7d4\U0001d7d5\U0001d7d6\U0001d7d7",  # bold
    "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669",  # Arabic
]


def sample(network: IPv4Network | IPv6Network, random: Random, number: int) -> list[IPv4Address | IPv6Address]:
    """Return the network's first address, its last one, and so many others."""
    last = network.num_addresses - 1
    return [network[0], network[last], *(network[random.randint(0, last)] for _ in range(number))]


def outside(network: IPv4Network | IPv6Network) -> list[IPv4Address | IPv6Address]:
    """Return the addresses just before and after the network, unless they are special too."""
    first, last = int(network[0]), int(network[-1])
    near = [type(network[0])(number) for number in (first - 1, last + 1) if 0 <= number < 2**network.max_prefixlen]
    return [ip for ip in near if not any(ip in special for special in SPECIAL)]


def hosts(ip: IPv4Address | IPv6Address, random: Random) -> Iterator[str]:
    """Yield the address in every spelling, as the host of a URL. Some are this address only to a careless parser."""
    if isinstance(ip, IPv6Address):
        yield from (f"[{text}]" for text in _spellings_ipv6(ip))
        return
    yield from _spellings_ipv4(ip, random)
    for embedding in _embeddings(ip, random):
        yield f"[{embedding}]"


def _spellings_ipv4(ip: IPv4Address, random: Random) -> Iterator[str]:
    for parts in (1, 2, 3, 4):  # the last part is the rest of the number
        numbers = [*ip.packed[: parts - 1], int(ip) % 256 ** (5 - parts)]
        for write in _WRITINGS:
            yield ".".join(map(write, numbers))
        yield ".".join(random.choice(_WRITINGS)(number) for number in numbers)
    text = str(ip)
    for digits in _DIGITS:
        yield text.translate(str.maketrans("0123456789", digits))
    for dot in _DOTS:
        yield text.replace(".", dot)
    yield "".join(random.choice(_DIGITS)[int(mark)] if mark.isdigit() else random.choice(_DOTS) for mark in text)
    yield hex(int(ip)).replace("x", "\uff58")  # full-width, too
    yield f"{text}."
    yield text.replace(".", "%2e")
    yield "".join(f"%{ord(mark):02x}" for mark in text)
    yield f"{text}%00.example.com"
    yield f"[{text}]"
    yield f"[::]{text}"
    yield str(int(ip) + 2**32)  # the same to a parser of 32 bits


def _spellings_ipv6(ip: IPv6Address) -> Iterator[str]:
    head = ip.exploded[:30]
    for text in (str(ip), ip.exploded, str(ip).upper(), f"{head}{IPv4Address(int(ip) & 0xFFFFFFFF)}"):
        yield text
        for zone in ("lo", "25lo", "251", "1", "25"):
            yield f"{text}%{zone}"


def _embeddings(ip: IPv4Address, random: Random) -> list[IPv6Address]:
    """Return the IPv6 addresses that embed an IPv4 one."""
    number, noise = int(ip), random.getrandbits
    teredo, isatap, nat64 = 0x20010000 << 96, 0x5EFE << 32, 0x64FF9B0001 << 80
    prefix = (0x2600 << 112) | noise(44) << 64  # of some site
    return [
        IPv6Address(form)
        for form in (
            0xFFFF << 32 | number,  # mapped
            number,  # compatible
            0xFFFF << 48 | number,  # translated
            0x64FF9B << 96 | number,  # NAT64
            nat64 | noise(48) << 32 | number,  # NAT64 of local use, behind 96 bits
            nat64 | (number >> 16) << 64 | (number & 0xFFFF) << 40,  # behind 48
            0x2002 << 112 | number << 80 | noise(80),  # 6to4
            teredo | noise(64) << 32 | number ^ 0xFFFFFFFF,  # Teredo's client
            teredo | number << 64 | noise(64),  # Teredo's server
            0xFE80 << 112 | isatap | number,
            0xFE80 << 112 | 0x200 << 48 | isatap | number,
            prefix | isatap | number,
            prefix | 0x200 << 48 | isatap | number,
        )
    ]
