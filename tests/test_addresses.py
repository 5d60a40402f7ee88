"""Hosts written one way, which of them data and visitors may have asked, and tile templates that are data."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lecdiff_core import addresses
from lecdiff_core.addresses import AllowedHosts, check_template, check_url, host_of, tile_url
from lecdiff_core.errors import UserError


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Tiles.Example.ORG/x", "tiles.example.org"),
        ("https://tiles.example.org./x", "tiles.example.org"),
        ("https://tiles.example.org:8443/x", "tiles.example.org"),
        ("https://user:pw@tiles.example.org/x", "tiles.example.org"),
        ("https://t%69les.example.org/x", "tiles.example.org"),
        ("https://bücher.example/x", "xn--bcher-kva.example"),
        ("https://ＴＩＬＥＳ.example。org/x", "tiles.example.org"),
        ("http://127.1/x", "127.0.0.1"),
        ("http://0x7f000001/x", "127.0.0.1"),
        ("http://2130706433/x", "127.0.0.1"),
        ("http://127.0.0.1./x", "127.0.0.1"),
        ("http://[::ffff:127.0.0.1]/x", "127.0.0.1"),
        ("http://[::1]:80/x", "::1"),
        ("http://{s}.example.org/{z}/{x}/{y}", ""),
        ("nowhere.tif", ""),
        ("https:///x", ""),
        ("http://a b/x", ""),
        ("http://[::1/x", ""),
    ],
)
def test_a_host_is_written_one_way(url, host):
    assert host_of(url) == host


@pytest.mark.parametrize(
    "template",
    [
        "https://example.org/{z}/{x}.jpg",
        "https://{s}.example.org/{z}/{x}/{y}.jpg",
        "https://example.org/{s}/{z}/{x}/{y}.jpg",
        "https://example.org/{z}/{x}/{y}/{z.__class__}",
        "https://example.org/{z}/{x}/{y}/{",
        "https://example.org/{z}/{x}/{y}/}",
        "https://example.org/{{z}}/{x}/{y}",
        "https://example.org/{z}/{x}/{y}/{0}",
        "https://example.org/{z!r}/{z}/{x}/{y}",
        "ftp://example.org/{z}/{x}/{y}",
        "javascript:alert({z}{x}{y})",
        "https://user:pw@example.org/{z}/{x}/{y}",
        "https://example.org\\@10.0.0.1/{z}/{x}/{y}",
        "https://exa mple.org/{z}/{x}/{y}",
        "https://example.org/{z}/{x}/{y}\n",
        "https://example.org:99999/{z}/{x}/{y}",
        "https://example.org/{z}/{x}/{y}" + "a" * 3000,
    ],
)
def test_a_template_that_is_none_is_one_line(template):
    with pytest.raises(UserError) as caught:
        check_template(template)
    assert "\n" not in str(caught.value) and "pw" not in str(caught.value)


def test_a_template_is_filled_by_its_three_names_alone():
    check_template("https://example.org/{z}/{y}/{x}?f=%7Bz%7D")
    assert tile_url("https://example.org/{z}/{y}/{x}?f=%7Bz%7D", 3, 1, 2) == "https://example.org/3/2/1?f=%7Bz%7D"


@given(st.text(alphabet="{}zxys.!:_[]0/ahtp", max_size=60))
def test_no_template_breaks_the_filling(text):
    assert isinstance(tile_url(f"{text}{{z}}", 1, 2, 3), str)
    try:
        check_template(text)
    except UserError:
        return
    assert "{" not in tile_url(text, 1, 2, 3)


INNER = [
    *("http://127.0.0.1/", "http://127.1/", "http://10.1.2.3/", "http://192.168.0.1/", "http://172.16.0.1/"),
    *("http://169.254.169.254/", "http://100.100.100.200/", "http://168.63.129.16/", "http://0.0.0.0/"),
    *("http://[::1]/", "http://[fd00:ec2::254]/", "http://[fe80::1]/", "http://[::ffff:10.0.0.1]/"),
    *("http://[64:ff9b::a00:1]/", "http://[2002:a00:1::]/", "http://224.0.0.1/", "http://2130706433/"),
    *("http://localhost/", "http://LOCALHOST./", "http://db/", "http://metadata.google.internal/", "http://nas.local/"),
]


@pytest.mark.parametrize("url", INNER)
def test_without_a_list_nothing_inner_may_be_asked(url):
    assert not AllowedHosts().name(url) and AllowedHosts().addresses(url) == []


@pytest.mark.parametrize("url", ["https://tiles.example.org/", "http://8.8.8.8/", "http://[2606:4700::1111]/"])
def test_without_a_list_public_hosts_may_be_asked(url):
    assert AllowedHosts().name(url)


@pytest.mark.parametrize(
    ("listed", "url", "allowed"),
    [
        ("tiles.example.org", "https://TILES.example.org./", True),
        ("tiles.example.org", "https://a.tiles.example.org/", False),
        ("tiles.example.org", "https://other.example.org/", False),
        ("*.example.org", "https://a.b.example.org/", True),
        ("*.example.org", "https://example.org/", False),
        ("*.example.org", "https://evilexample.org/", False),
        ("tiles.example.org:8443", "https://tiles.example.org:8443/", True),
        ("tiles.example.org:8443", "https://tiles.example.org/", False),
        ("tiles.example.org:443", "https://tiles.example.org/", True),
        ("127.0.0.1", "http://127.0.0.1:8000/", True),
        ("127.0.0.1:8000", "http://127.0.0.1:8000/", True),
        ("127.0.0.1:8000", "http://127.0.0.1:8001/", False),
        ("10.0.0.0/8", "http://10.9.8.7/", True),
        ("10.0.0.0/8", "http://11.9.8.7/", False),
        ("fd00::/8", "http://[fd00::5]/", True),
        ("[::1]:80", "http://[::1]/", True),
        ("tiles, nas.local ,", "http://nas.local/", True),
        ("localhost", "http://localhost:9/", True),
    ],
)
def test_a_list_names_what_may_be_asked(monkeypatch, listed, url, allowed):
    monkeypatch.setenv(addresses.ALLOWED_VARIABLE, listed)
    assert AllowedHosts.here().name(url) is allowed


@pytest.mark.parametrize("listed", ["http://example.org", "a b", "*", "example.org/x", "10.0.0.0/99", "a@b", "x:99999"])
def test_a_list_that_is_none_is_one_line(monkeypatch, listed):
    monkeypatch.setenv(addresses.ALLOWED_VARIABLE, listed)
    with pytest.raises(UserError, match=addresses.ALLOWED_VARIABLE):
        AllowedHosts.here()


def test_a_name_that_leads_inside_is_refused_as_one_that_is_not_known(monkeypatch):
    known = {"rebind.example.org": ["10.0.0.5"], "both.example.org": ["10.0.0.5", "9.9.9.9"]}

    def lookup(host, port, **_):
        if host not in known:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port)) for number in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    assert AllowedHosts().addresses("http://rebind.example.org/") == []
    assert AllowedHosts().addresses("http://nowhere.example.org/") == []
    assert AllowedHosts().addresses("http://both.example.org/") == ["9.9.9.9"]
    within = AllowedHosts(networks=(ipaddress.ip_network("10.0.0.0/24"),), named=True)
    assert within.addresses("http://both.example.org/") == ["10.0.0.5"]


@pytest.mark.parametrize("url", ["ftp://a.example/", "http://", "http://a.example:0/", "//a.example", "http://a\\b/"])
def test_an_address_that_is_none(url):
    with pytest.raises(UserError, match="http or https"):
        check_url(url, "the address")
