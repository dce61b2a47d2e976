"""The XML-RPC API behind nginx, called by Python's own client as an operator's program calls it."""

import ssl
import xmlrpc.client
from collections.abc import Callable

import httpx
import pytest
from testinfra.host import Host

PASSWORD = "correct horse battery 7"  # noqa: S105 - a test's
TENANT = (
    "{id: 176, name: Bar Sport, pbx: molecule-panel, extensions: [{number: '101', name: Bar, devices: [{name: desk}]}]}"
)
LIST = xmlrpc.client.dumps((), "tenant.list")


@pytest.fixture(scope="module", autouse=True)
def operator(host: Host) -> None:
    host.check_output("centralino user operator billing")
    host.check_output(f"centralino user password billing <<'END'\n{PASSWORD}\nEND")


@pytest.fixture(scope="module")
def shown(showing: Callable[[str, str], ssl.SSLContext]) -> ssl.SSLContext:
    """Return a context that shows a certificate of the authority that the scenario names for programs."""
    return showing("/etc/centralino/pki/molecule-panel.crt", "/etc/centralino/pki/molecule-panel.key")


def program(address: str, tls: ssl.SSLContext, password: str = PASSWORD) -> xmlrpc.client.ServerProxy:
    password = password.replace(" ", "%20")
    return xmlrpc.client.ServerProxy(f"https://billing:{password}@{address}:8445/rpc", context=tls)


def test_a_program_brings_a_tenant_and_publishes_it(host: Host, address: str, shown: ssl.SSLContext) -> None:
    with program(address, shown) as panel:
        assert getattr(panel, "tenant.import")(TENANT)["tenant"] == 176
        assert panel.tenant.show(176) == {"id": 176, "name": "Bar Sport", "pbx": "molecule-panel", "networks": []}
        assert [entry["pbx"] for entry in panel.apply.publish(["molecule-panel"])] == ["molecule-panel"]
        with pytest.raises(xmlrpc.client.Fault, match="which is never banned"):
            panel.ban.add("127.0.0.1")
        assert panel.ban.add("203.0.113.9", 1)["address"] == "203.0.113.9"
        assert "banned by a program (billing)" in host.check_output("centralino ban list")
        assert panel.ban.lift("203.0.113.9") is True


def test_a_wrong_password_is_refused(address: str, shown: ssl.SSLContext) -> None:
    with program(address, shown, "wrong") as panel, pytest.raises(xmlrpc.client.ProtocolError, match="401"):
        panel.tenant.list()
    with program(address, shown) as panel:
        assert panel.tenant.list()


def test_nobody_else_finds_it(address: str, anonymous: ssl.SSLContext, shown: ssl.SSLContext) -> None:
    """Neither without a certificate, nor at another port, whatever is said of oneself."""
    asked = {
        "content": LIST,
        "auth": ("billing", PASSWORD),
        "headers": {"Content-Type": "text/xml", "X-Api-Client": "CN=x"},
    }
    with httpx.Client(verify=anonymous) as stranger:
        assert stranger.post(f"https://{address}:8445/rpc", **asked).status_code == 400
        for path in ("/rpc", "//rpc", "/%72pc", "/static/../rpc", "/rpc/"):
            assert stranger.post(f"https://{address}{path}", **asked).status_code == 404, path
    with httpx.Client(verify=shown) as guest:
        assert guest.post(f"https://{address}:8443/rpc", **asked).status_code == 404
        assert guest.get(f"https://{address}:8445/login").status_code == 404


def test_it_has_limits_of_its_own(address: str, anonymous: ssl.SSLContext, shown: ssl.SSLContext) -> None:
    with httpx.Client(base_url=f"https://{address}:8445", verify=shown) as guest:
        assert guest.post("/rpc", content=b"x" * 1_100_000).status_code == 413
        answers = [guest.post("/rpc", content=LIST).status_code for _ in range(150)]
        assert answers[:40] == [401] * 40
        assert answers[-1] == 429
    with httpx.Client(verify=anonymous) as browser:
        assert browser.get(f"https://{address}/login").status_code == 200, "elsewhere nothing changes"
