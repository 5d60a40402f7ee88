"""Tiles for a page's visitor: nothing inner is asked, and a name leads where it led when it was looked at."""

import socket
from contextlib import closing

import pytest

from lecdiff_core import addresses, retries
from lecdiff_core.addresses import AllowedHosts
from lecdiff_core.environment.imagery.chips import fetch_imagery
from lecdiff_core.errors import UserError
from lecdiff_core.jobs import background
from tests.environment.imagery.test_chips import make_city
from tests.environment.tile_server import TileServer

FAST = {"per_second": 1000.0}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(retries, "BACK_OFF", lambda state: 0.01)
    with closing(TileServer()) as running:
        yield running


@pytest.fixture
def city(tmp_path):
    return make_city(tmp_path / "city", {"S1": (9.0, 45.0)})


def test_an_inner_host_is_refused_in_the_same_words_whether_it_is_there_or_not(city, server):
    said = []
    for template in (server.template, "http://127.0.0.1:9/{z}/{x}/{y}", "http://no-such-host/{z}/{x}/{y}"):
        with pytest.raises(UserError) as caught:
            fetch_imagery(city, template, allowed=AllowedHosts(), **FAST)
        said.append(str(caught.value).replace("no-such-host", "127.0.0.1"))
    assert len(set(said)) == 1 and not server.asked


def test_a_host_that_is_named_is_asked(city, server, monkeypatch):
    monkeypatch.setenv(addresses.ALLOWED_VARIABLE, server.url.removeprefix("http://"))
    assert fetch_imagery(city, server.template, allowed=AllowedHosts.here(), **FAST).made == ["S1"]


def test_the_operators_own_address_is_his_to_choose(city, server):
    assert fetch_imagery(city, server.template, **FAST).made == ["S1"]


def test_a_name_is_looked_up_once_and_the_connection_goes_there(city, server, monkeypatch):
    looked, real = [], socket.getaddrinfo

    def lookup(host, *rest, **options):
        if host != "tiles.example.org":
            return real(host, *rest, **options)
        looked.append(host)
        return real("127.0.0.1" if len(looked) == 1 else "127.0.0.2", *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setenv(addresses.ALLOWED_VARIABLE, "127.0.0.1/32")
    template = server.template.replace("127.0.0.1", "tiles.example.org")
    assert fetch_imagery(city, template, allowed=AllowedHosts.here(), **FAST).made == ["S1"]
    assert looked == ["tiles.example.org"]
    monkeypatch.setenv(addresses.ALLOWED_VARIABLE, "127.0.0.9/32")
    report = fetch_imagery(city, template + "?again", allowed=AllowedHosts.here(), **FAST)
    assert "is not known, or not among the hosts" in report.nothing


def test_the_terms_of_esri_hold_however_the_host_is_written(city):
    for host in (
        "services.arcgisonline.com.",
        "SERVICES.ArcGISonline.com",
        "services.arcgisonline.com:443",
        "ａrcgis.com",
    ):
        with pytest.raises(UserError, match="--accept-terms"):
            fetch_imagery(city, f"https://{host}/tile/{{z}}/{{y}}/{{x}}", **FAST)


def test_a_job_asks_for_a_visitor(city, server, monkeypatch):
    job = background.start(city.path, "imagery", [f"--source={server.template}"])
    while job.state == "running":
        job = background.find(city.path, job.id)
    assert "not among the hosts" in job.problem() and not server.asked
