"""A relay that asks for a log-in, in TLS from the first byte."""

import sys
from pathlib import Path

import pytest
from scenario_fixtures import within
from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).parents[1]))
from relay import Relay, know

pytestmark = pytest.mark.usefixtures("changed")

PORT = 10465
NAME = "relay.example.com"
LOGIN = "pbx@example.com:Wq7%hT$z'2\"xK"


def test_mail_is_tried_again_without_being_asked(host: Host, tmp_path: Path) -> None:
    know(host, NAME)
    host.check_output("postsuper -d ALL")
    host.check_output("printf 'Subject: alarm\\n\\nDisk full.\\n' | /usr/sbin/sendmail root")
    assert within(15, lambda: "delay_reason" in host.check_output("postqueue -j"))
    with Relay(PORT, tmp_path, name=NAME, login=LOGIN, implicit_tls=True) as relay:
        mail = relay.wait(seconds=20)
    assert mail.tls == "TLSv1.3"
    assert mail.login == LOGIN
    assert (mail.sender, mail.recipients) == ("root@other.example.com", ["admin@example.com"])


def test_the_password_is_roots_alone(host: Host) -> None:
    assert host.file("/etc/postfix/relay_password").mode == 0o600
    assert host.run("runuser -u postfix -- cat /etc/postfix/relay_password").rc != 0
    assert "Wq7%hT" not in host.check_output("journalctl --no-pager")


def test_the_limits_are_those_that_were_given(host: Host) -> None:
    ask = "import smtplib; print(smtplib.SMTP('127.0.0.1', 25).ehlo()[1].decode())"
    assert f"SIZE {1024 * 1024}" in host.check_output("python3 -c %s", ask)
    assert host.check_output("postconf -h maximal_queue_lifetime") == "2d"
