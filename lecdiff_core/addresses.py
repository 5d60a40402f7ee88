"""Web addresses from people and files: hosts written one way, which of them may be asked, and the addresses of map tiles.

An address that the operator gives (his environment, his command line) is his to choose. One that comes from data or from a
visitor of a page may lead to public hosts only, or to those that LECDIFF_ALLOWED_HOSTS names.
"""

import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from lecdiff_core.errors import UserError

ALLOWED_VARIABLE = "LECDIFF_ALLOWED_HOSTS"
PLACEHOLDERS = ("{z}", "{x}", "{y}")
LONGEST = 2000
PORTS = {"http": 80, "https": 443}
# Names that lead inside wherever they are looked up.
INNER_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "private", "home.arpa")
# Public by its number, and yet a cloud's own service to its machines.
INNER_ADDRESSES = frozenset({"168.63.129.16"})
NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


# ---- hosts


def host_of(url: str) -> str:
    """The host an address names, written one way: small letters, no final dot, ASCII, numbers as usual; empty where none."""
    try:
        return _one_way(urlsplit(url).hostname or "")
    except ValueError:
        return ""


@lru_cache(maxsize=1024)
def _one_way(host: str) -> str:
    """Raises ValueError where a host has letters that none can have."""
    if not host:
        return ""
    if number := _number(host):
        return str(number)
    import idna

    host = unquote(host)
    try:
        name = idna.encode(host, uts46=True).decode() if not host.isascii() else host.lower()
    except idna.IDNAError as error:
        raise ValueError("not a host") from error
    name = name.rstrip(".")
    if number := _number(name):
        return str(number)
    if not re.fullmatch(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?", name) or ".." in name:
        raise ValueError("not a host")
    return name


def _number(host: str) -> Address | None:
    """The address a host is the number of, also in the short forms that resolvers take (127.1, 0x7f000001)."""
    try:
        return _plain(ipaddress.ip_address(host.strip("[]").partition("%")[0]))
    except ValueError:
        pass
    if re.fullmatch(r"(0[xX][0-9a-fA-F]+|[0-9]+)(\.(0[xX][0-9a-fA-F]+|[0-9]+)){0,3}", host):
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    return None


def _plain(address: Address) -> Address:
    """An IPv4 address that is dressed as IPv6, undressed."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped or address.sixtofour:
            return address.ipv4_mapped or address.sixtofour or address
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def check_url(url: str, what: str) -> None:
    """Raise UserError unless `url` is http(s) with a host and without a user name or password in it."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in PORTS and bool(_one_way(parts.hostname or "")) and parts.port != 0
        usable = usable and len(url) <= LONGEST and not re.search(r"[\s\\\x00-\x1f\x7f]", url)
    except ValueError:
        usable, parts = False, urlsplit("")
    if parts.username is not None or parts.password is not None:
        raise UserError(f"{what} has a user name or password in it; give an address without")
    if not usable:
        raise UserError(f"{what} must be an http or https address, such as https://example.org/…")


# ---- tiles


def check_template(template: str, what: str = "the tile template") -> None:
    """Raise UserError unless `template` is the address of a tile server with {z}, {x} and {y}, each filled in by `tile_url`."""
    example = "such as https://example.org/{z}/{x}/{y}.jpg"
    if any(part not in template for part in PLACEHOLDERS):
        raise UserError(f"{what} must contain {{z}}, {{x}} and {{y}}, {example}")
    bare = tile_url(template, 0, 0, 0)
    if "{" in host_part(template):
        raise UserError(f"{what} must name one host; write it out, such as a.example.org")
    if "{" in bare or "}" in bare:
        raise UserError(f"{what} may hold {{z}}, {{x}} and {{y}} in braces and nothing else, {example}")
    check_url(bare, what)


def host_part(url: str) -> str:
    """What stands where an address has its host, as it is written."""
    return url.partition("://")[2].partition("/")[0]


def tile_url(template: str, z: int, x: int, y: int) -> str:
    """The address of one tile. The template is data: nothing in it but these three is looked at."""
    for part, number in zip(PLACEHOLDERS, (z, x, y), strict=True):
        template = template.replace(part, str(number))
    return template


# ---- which hosts may be asked


@dataclass(frozen=True)
class AllowedHosts:
    """Hosts that addresses from data and visitors may lead to.

    names: `(host, port)`, a host that begins with a dot stands for all below it, no port for any. networks: ranges of addresses.
    named: whether a list is given; then nothing else is allowed, else every public host is.
    """

    names: tuple[tuple[str, int | None], ...] = ()
    networks: tuple[Network, ...] = ()
    named: bool = False

    @classmethod
    def here(cls) -> "AllowedHosts":
        """As LECDIFF_ALLOWED_HOSTS says: `tiles.example.org, *.example.org, 10.0.0.5:8080, 10.1.0.0/16`. Raises UserError."""
        return _read(os.environ.get(ALLOWED_VARIABLE, ""))

    def name(self, url: str) -> bool:
        """Whether the host of an address may be asked as far as its name tells; nothing is looked up."""
        host, port = host_of(url), _port(url)
        if not host:
            return False
        if self._is_named(host, port):
            return True
        if number := _number(host):
            return self.address(number)
        if self.named:
            return bool(self.networks)  # what it leads to is looked at when it is asked
        return "." in host and not any(host == name or host.endswith(f".{name}") for name in INNER_NAMES)

    def in_browser(self, url: str) -> bool:
        """Whether a visitor's browser may be sent to an address: as `name`, but a range allows no name: none is looked up."""
        host = host_of(url)
        plain = not self.named or self._is_named(host, _port(url)) or _number(host) is not None
        return plain and self.name(url)

    def addresses(self, url: str) -> list[str]:
        """The addresses behind the host of `url` that may be asked, looked up once; none where it is not allowed or not known.

        Whoever connects to one of these, and looks nothing up again, cannot be led elsewhere in between.
        """
        host, port = host_of(url), _port(url)
        if not self.name(url):
            return []
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return []
        numbers = list(dict.fromkeys(str(entry[4][0]) for entry in entries))
        free = self._is_named(host, port)
        return [one for one in numbers if free or ((number := _number(one)) is not None and self.address(number))]

    def address(self, address: Address) -> bool:
        """Whether an address itself may be asked."""
        if any(address in network for network in self.networks if network.version == address.version):
            return True
        return not self.named and is_public(address)

    def _is_named(self, host: str, port: int | None) -> bool:
        return any(
            (host == name or (name.startswith(".") and host.endswith(name))) and wanted in (None, port)
            for name, wanted in self.names
        )


def is_public(address: Address) -> bool:
    """Whether an address is one of the public net, and not of this machine, an inner network or a cloud's own services."""
    address = _plain(address)
    return address.is_global and not address.is_multicast and str(address) not in INNER_ADDRESSES


def refused(url: str) -> str:
    """What is said of a host that may not be asked: the same whether it is there or not."""
    return f"{host_of(url) or 'this host'} is not known, or not among the hosts that {ALLOWED_VARIABLE} allows"


def _port(url: str) -> int | None:
    try:
        parts = urlsplit(url)
        return parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return None


@lru_cache(maxsize=8)
def _read(text: str) -> AllowedHosts:
    names: list[tuple[str, int | None]] = []
    networks: list[Network] = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        try:
            networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
        except ValueError:
            names.append(_name(entry))
    return AllowedHosts(tuple(names), tuple(networks), bool(names or networks))


def _name(entry: str) -> tuple[str, int | None]:
    """A host of the list with its port. Raises UserError."""
    below = entry.startswith("*.")
    try:
        parts = urlsplit(f"//{entry[2:] if below else entry}")
        host = _one_way(parts.hostname or "")
        if not host or parts.path or parts.query or parts.username is not None or "*" in host:
            raise ValueError
        return (f".{host}" if below else host), parts.port
    except ValueError:
        raise UserError(
            f"{ALLOWED_VARIABLE}: {entry[:80]!r} is no host; write hosts such as tiles.example.org, *.example.org, "
            "10.0.0.5:8080 or 10.1.0.0/16, with commas between"
        ) from None
