"""Ask a machine for which every variable of the role ``base`` was changed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from testinfra.host import Host

pytestmark = pytest.mark.usefixtures("changed")


@pytest.fixture
def ssh(host: Host, address: str) -> str:
    """Return the command that logs in from outside as bruno, to which more can be appended."""
    key = host.ansible.get_variables()["ansible_ssh_private_key_file"]
    options = "-F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=INFO"
    return f"ssh {options} -o IdentitiesOnly=yes -i {key} bruno@{address}"


def test_the_machine_has_its_name_its_time_and_its_neighbour(host: Host) -> None:
    assert host.check_output("hostname --fqdn") == "desk7.clinic.example"
    assert host.check_output("getent hosts relay").split()[0] == "192.0.2.7"
    assert host.check_output("date +%Z") == "JST"
    assert "LANG=C" in host.file("/etc/default/locale").content_string.split()


def test_packages_come_through_the_proxy(host: Host) -> None:
    assert host.check_output("apt-config dump --format %v --no-empty Acquire::http::Proxy") == "http://198.18.0.2:3142"
    assert "c=contrib" in host.check_output("apt-cache policy")
    assert host.package("tree").is_installed


def test_who_is_named_logs_in_and_is_told_where(controller: Host, ssh: str) -> None:
    answer = controller.run(f"{ssh} sudo -n id -u")
    assert answer.stdout.strip() == "0"
    assert "Clinic" in answer.stderr


def test_a_shell_that_waits_too_long_ends(controller: Host, ssh: str, tmp_path: Path) -> None:
    """Its input stays open: nothing but the idle time ends it."""
    words = tmp_path / "words"
    said = controller.run(f"bash -c 'mkfifo {words}; exec 3<>{words}; timeout 60 {ssh} -tt <&3'")
    assert "timed out waiting for input" in said.stdout
    assert said.rc != 124, "timeout(1) had to end it"


def test_nothing_is_upgraded_by_itself(host: Host) -> None:
    assert host.check_output("apt-config dump --no-empty --format %v APT::Periodic::Unattended-Upgrade") == "0"
    kept = host.check_output("apt-config dump --no-empty --format %v%n Unattended-Upgrade::Package-Blacklist")
    assert "^linux-" in kept.splitlines()
    timer = host.check_output("systemctl show --property TimersCalendar,RandomizedDelayUSec apt-daily-upgrade.timer")
    assert "OnCalendar=*-*-* 01:15:00" in timer
    assert "RandomizedDelayUSec=5min" in timer


def test_the_journal_is_small(host: Host) -> None:
    assert "max 64M" in host.check_output("journalctl --unit=systemd-journald --grep='System Journal' --lines=1")


def test_only_what_is_named_is_looked_at(host: Host, integrity_report: Callable[[], str]) -> None:
    host.check_output("rm -f /srv/new; echo old >/etc/motd")
    integrity_report()
    host.check_output("touch /srv/new; echo new >/etc/motd")
    found = integrity_report()
    assert "/srv/new" in found
    assert "/etc/motd" not in found
    timer = host.check_output("systemctl show --property TimersCalendar centralino-integrity.timer")
    assert "OnCalendar=*-*-* 02:45:00" in timer
