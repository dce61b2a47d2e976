"""Send mail as the guest's programs do, to a relay that is down, that comes back, that is not the one it says to be."""

import socket
import sys
from pathlib import Path

import pytest
from scenario_fixtures import Exposure, Refused, within
from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).parents[1]))
from relay import Relay, know

PORT = 587
NAME = "relay.example.com"
SEND = """
import smtplib, sys
text = "Subject: a fax\\n\\nOne page.\\n"
smtplib.SMTP("127.0.0.1", 25, timeout=10).sendmail("fax@pbx.example.com", sys.argv[1:], text)
"""


@pytest.fixture(autouse=True)
def quiet(host: Host) -> None:
    """Begin with an empty queue, and with the relay's name known."""
    know(host, NAME)
    host.check_output("postsuper -d ALL")


def waiting(host: Host) -> int:
    """Return how many mails are in the queue."""
    return len(host.check_output("postqueue -j").splitlines())


def settled(host: Host) -> None:
    """Wait until every mail in the queue has been tried."""

    def tried() -> bool:
        mails = host.check_output("postqueue -j").splitlines()
        return bool(mails) and all("deferred" in mail and "delay_reason" in mail for mail in mails)

    assert within(15, tried)


def test_mail_waits_for_the_relay_and_arrives_over_tls(host: Host, tmp_path: Path) -> None:
    host.check_output("python3 -c %s someone@example.org", SEND)
    settled(host)
    assert waiting(host) == 1, "the relay is down"
    host.check_output("systemctl restart postfix")
    assert waiting(host) == 1, "a restart keeps it"
    with Relay(PORT, tmp_path, name=NAME) as relay:
        host.check_output("postqueue -f")
        mail = relay.wait()
    assert mail.tls == "TLSv1.3"
    assert (mail.sender, mail.recipients) == ("fax@pbx.example.com", ["someone@example.org"])
    assert "One page." in mail.text
    assert within(10, lambda: waiting(host) == 0)


@pytest.mark.parametrize("recipient", ["root", "root@pbx.example.com", "postmaster"])
def test_what_the_system_writes_reaches_its_administrator(host: Host, tmp_path: Path, recipient: str) -> None:
    with Relay(PORT, tmp_path, name=NAME) as relay:
        host.check_output("printf 'Subject: alarm\\n\\nDisk full.\\n' | /usr/sbin/sendmail %s", recipient)
        mail = relay.wait()
    assert mail.recipients == ["ops@example.com"]
    assert mail.sender == "root@pbx.example.com"


def test_another_ones_certificate_gets_no_mail(host: Host, tmp_path: Path) -> None:
    with Relay(PORT, tmp_path, name="other.example.com") as relay:
        host.check_output("python3 -c %s someone@example.org", SEND)
        settled(host)
        assert relay.attempts
        assert not relay.mails
    assert "not verified" in host.check_output("postqueue -j")


def test_a_relay_without_tls_gets_no_mail(host: Host, tmp_path: Path) -> None:
    with Relay(PORT, tmp_path, name=NAME, offers_tls=False) as relay:
        host.check_output("python3 -c %s someone@example.org", SEND)
        settled(host)
        assert relay.attempts
        assert not relay.mails
    assert "TLS is required" in host.check_output("postqueue -j")


def test_nothing_comes_in_from_the_network(host: Host, address: str) -> None:
    listening = {line.split()[3] for line in host.check_output("ss -Hlnt").splitlines() if ":22" not in line}
    assert listening <= {"127.0.0.1:25", "[::1]:25"}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, 25), timeout=2)


def test_a_mail_that_is_too_large_is_refused_at_once(host: Host) -> None:
    ask = "import smtplib; print(smtplib.SMTP('127.0.0.1', 25).ehlo()[1].decode())"
    assert f"SIZE {25 * 1024 * 1024}" in host.check_output("python3 -c %s", ask)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"mail_relay": ""}, "the name of the server that takes your mail"),
        ({"mail_relay": "192.0.2.1"}, "the name of the server that takes your mail"),
        ({"mail_administrator": "root"}, "the address of those who read the system's own mail"),
        ({"mail_relay_user": "pbx"}, "belong together"),
        ({"mail_queue_days": 0}, "set mail_queue_days from 1 to 100"),
    ],
)
def test_bad_input_leaves_the_running_service_alone(
    host: Host, refused: Refused, variables: dict[str, object], sentence: str
) -> None:
    state = "systemctl show --property MainPID,NeedDaemonReload postfix; sha256sum /etc/postfix/*.cf"
    before = host.check_output(state)
    assert sentence in refused(variables)
    assert host.check_output(state) == before


def test_it_is_confined(host: Host, exposure: Exposure) -> None:
    assert host.service("postfix").is_enabled
    assert exposure("postfix.service") <= 4.0
