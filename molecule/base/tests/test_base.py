"""Ask a machine that the role ``base`` was applied to."""

from collections.abc import Callable
from shlex import quote

import pytest
from scenario_fixtures import Exposure
from testinfra.backend.base import CommandResult
from testinfra.host import Host

LogIn = Callable[..., CommandResult]
"""Logs in from outside: user, command, more options of ssh."""


@pytest.fixture
def ssh(host: Host, controller: Host, address: str) -> LogIn:
    """Return a function that logs in from outside, with the scenario's key, and runs a command."""
    key = host.ansible.get_variables()["ansible_ssh_private_key_file"]
    options = "-F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "

    def run(user: str, command: str, more: str = "") -> CommandResult:
        start = f"ssh {options} -o IdentitiesOnly=yes -i {key} {more}"
        return controller.run(f"{start} %s %s", f"{user}@{address}", command)

    return run


def test_an_operator_logs_in_and_becomes_root(ssh: LogIn) -> None:
    answer = ssh("anna", "sudo -n id -u")
    assert (answer.rc, answer.stdout.strip()) == (0, "0")


def test_a_key_opens_however_old_the_account_is(host: Host, ssh: LogIn) -> None:
    """Who has a key and no password cannot give the new one that is asked for when a password's age has run out."""
    host.check_output("chage --lastday 2020-01-01 anna")
    try:
        assert ssh("anna", "sudo -n id -u").rc == 0
    finally:
        host.check_output("chage --lastday $(date +%F) anna")


def test_a_user_without_sudo_does_not_become_root(ssh: LogIn) -> None:
    assert ssh("reader", "id -un").stdout.strip() == "reader"
    assert ssh("reader", "sudo -n id -u").rc != 0


def test_the_account_that_ansible_uses_is_not_locked_out(ssh: LogIn) -> None:
    assert ssh("root", "true").rc == 0


def test_a_password_is_not_asked_for(ssh: LogIn) -> None:
    answer = ssh("anna", "true", "-o PubkeyAuthentication=no -o PreferredAuthentications=password,keyboard-interactive")
    assert answer.rc == 255
    assert "Permission denied (publickey)" in answer.stderr


def test_a_system_account_with_a_key_does_not_log_in(host: Host, ssh: LogIn) -> None:
    host.check_output("install -d -o games -m 700 /usr/games/.ssh")
    host.check_output("install -o games -m 600 /root/.ssh/authorized_keys /usr/games/.ssh/authorized_keys")
    assert ssh("games", "true").rc == 255


@pytest.mark.parametrize(
    "option",
    [
        "KexAlgorithms=ecdh-sha2-nistp256",
        "KexAlgorithms=diffie-hellman-group14-sha256",
        "HostKeyAlgorithms=ecdsa-sha2-nistp256",
        "Ciphers=aes128-ctr",
        "MACs=hmac-sha1 -o Ciphers=aes256-ctr",
    ],
)
def test_old_cryptography_is_refused(ssh: LogIn, option: str) -> None:
    answer = ssh("root", "true", f"-o {option}")
    assert answer.rc == 255
    assert "no matching" in answer.stderr


def test_nothing_is_forwarded(ssh: LogIn) -> None:
    answer = ssh("anna", "true", "-o ExitOnForwardFailure=yes -R 127.0.0.1:9999:127.0.0.1:22")
    assert answer.rc == 255


def test_the_machine_knows_its_name_and_its_neighbours(host: Host) -> None:
    assert host.check_output("hostname") == "molecule-base"
    assert host.check_output("hostname --fqdn") == "molecule-base.lab.centralino.example"
    assert host.check_output("getent hosts pbx01").split() == ["198.18.0.11", "pbx01.lab.centralino.example", "pbx01"]


def test_a_boot_takes_away_no_name(host: Host) -> None:
    """Proxmox has cloud-init write /etc/hosts anew at each boot; a clone has its own name by then."""
    program = (
        "import jinja2, sys; head, text = open('/etc/cloud/templates/hosts.debian.tmpl').read().split('\\n', 1); "
        "assert head == '## template:jinja'; "
        "print(jinja2.Template(text, trim_blocks=True).render(hostname=sys.argv[1], fqdn=sys.argv[1] + '.example'))"
    )
    assert host.check_output(f"python3 -c {quote(program)} molecule-base | cmp - /etc/hosts") == ""
    assert "127.0.1.1 pbx09.example pbx09" in host.check_output(f"python3 -c {quote(program)} pbx09")


def test_the_clock_shows_local_time(host: Host) -> None:
    assert host.check_output("date +%Z") in {"CET", "CEST"}


def test_packages_come_from_the_release_its_updates_and_security(host: Host) -> None:
    policy = host.check_output("apt-cache policy")
    for suite in ("n=trixie,", "n=trixie-updates,", "n=trixie-security,"):
        assert suite in policy, f"apt knows no {suite[2:-1]}"


def test_upgrades_take_debian_only(host: Host) -> None:
    patterns = host.check_output(
        "apt-config dump --no-empty --format '%v%n' Unattended-Upgrade::Origins-Pattern"
    ).splitlines()
    assert len(patterns) == 3
    assert all(pattern.startswith("origin=Debian,") for pattern in patterns)
    assert host.check_output("apt-config dump --no-empty --format '%v' APT::Periodic::Unattended-Upgrade") == "1"
    assert host.service("apt-daily-upgrade.timer").is_running


def test_upgrades_come_at_night_and_leave_calls_alone(host: Host) -> None:
    timers = host.check_output("systemctl show --property TimersCalendar,RandomizedDelayUSec apt-daily-upgrade.timer")
    assert "OnCalendar=*-*-* 03:30:00" in timers
    assert timers.count("OnCalendar=") == 1
    assert "RandomizedDelayUSec=30min" in timers
    asked = "$nrconf{override_rc}={}; do '/etc/needrestart/conf.d/centralino.conf' or die; "
    kept = "print join(',', grep { 'asterisk.service' =~ /$_/ } keys %{$nrconf{override_rc}});"
    assert host.check_output("perl -e %s", asked.replace("$nrconf", "our %nrconf; $nrconf", 1) + kept)
    assert host.run("needrestart -b -r l").rc == 0


def test_whoever_logs_in_is_told_whose_machine_it_is(ssh: LogIn) -> None:
    assert "authorised access only" in ssh("anna", "true", "-o LogLevel=INFO").stderr


def test_a_weak_password_is_refused_and_a_strong_one_ages(host: Host) -> None:
    host.check_output("useradd --system --create-home aged")
    try:
        assert "BAD PASSWORD" in host.run("printf 'short1A\nshort1A\n' | passwd aged").stderr
        host.check_output("printf 'Long-enough-and-Mixed7\nLong-enough-and-Mixed7\n' | passwd aged")
    finally:
        host.check_output("userdel --remove aged")
    host.check_output("useradd aged2")
    try:
        assert "365" in host.check_output("chage --list aged2 | grep Maximum")
    finally:
        host.check_output("userdel aged2")


def test_modules_that_nothing_uses_are_refused(host: Host) -> None:
    assert host.check_output("modprobe --dry-run --show-depends dccp || true").strip() in {"", "install /bin/false"}
    assert "install dccp /bin/false" in host.check_output("modprobe --showconfig | grep dccp")


def test_the_journal_is_kept_on_disk_within_limits(host: Host) -> None:
    host.check_output("logger --tag molecule kept")
    host.check_output("journalctl --sync")
    machine = host.file("/etc/machine-id").content_string.strip()
    assert "kept" in host.check_output("journalctl --directory=/var/log/journal/%s --identifier=molecule", machine)
    assert "max 1G" in host.check_output("journalctl --unit=systemd-journald --grep='System Journal' --lines=1")


def test_nothing_dumps_core(host: Host, ssh: LogIn) -> None:
    assert ssh("anna", "ulimit -Hc").stdout.strip() == "0"
    limits = host.check_output("systemd-run --quiet --wait --pipe cat /proc/self/limits")
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[-3:-1] == ["0", "0"]


def test_the_kernel_of_a_container_is_left_alone(host: Host) -> None:
    assert not host.file("/etc/sysctl.d/60-centralino.conf").exists
    assert host.service("auditd").is_enabled
    for unit in ("auditd", "audit-rules"):
        host.check_output("systemctl start %s", unit)
        assert not host.service(unit).is_running
        assert host.check_output("systemctl show --property=ConditionResult --value %s", unit) == "no"


def test_a_new_machine_is_up_to_date(host: Host) -> None:
    assert "\n0 upgraded" in host.check_output("LC_ALL=C apt-get --simulate dist-upgrade")


def test_changed_files_are_named_once(host: Host, exposure: Exposure, integrity_report: Callable[[], str]) -> None:
    integrity_report()
    host.check_output("echo 'Welcome' >/etc/motd; echo true >/usr/sbin/stranger")
    try:
        found = integrity_report()
        assert "/etc/motd" in found
        assert "/usr/sbin/stranger" in found
        assert "/etc/motd" not in integrity_report()
    finally:
        host.check_output("rm /usr/sbin/stranger")
    assert host.service("centralino-integrity.timer").is_running
    assert exposure("centralino-integrity.service") <= 2.5
    assert host.run("runuser -u reader -- ls /var/lib/aide").rc != 0


def test_a_program_that_is_not_its_packages_is_named_each_week(host: Host) -> None:
    host.check_output("cp --preserve /usr/bin/factor /root/factor; echo >>/usr/bin/factor")
    try:
        for _ in range(2):
            assert "/usr/bin/factor" in host.check_output("run-parts --regex=^debsums$ /etc/cron.weekly")
        host.check_output("journalctl --sync")
        assert "/usr/bin/factor" in host.check_output("journalctl --identifier=debsums --output=cat")
    finally:
        host.check_output("mv /root/factor /usr/bin/factor")


def test_what_runs_when_is_roots_own_business(host: Host, ssh: LogIn) -> None:
    for path in ("/etc/crontab", "/etc/ssh/sshd_config", "/etc/cron.d/*", "/etc/sudoers.d/*"):
        assert ssh("reader", f"cat {path}").rc != 0, path
    assert host.run("run-parts --test /etc/cron.daily").rc == 0


def test_a_shell_that_waits_too_long_ends(ssh: LogIn) -> None:
    assert ssh("anna", "bash -lc 'echo $TMOUT; TMOUT=0'").stdout.split() == ["900"]


def test_a_user_whose_key_is_none_is_refused(converge: Callable[..., str], ssh: LogIn) -> None:
    said = converge(fails=True, base_users=[{"name": "anna", "keys": ["CHANGE-ME"]}])
    assert 'The user "anna" in base_users needs' in " ".join(said.split())
    assert ssh("anna", "true").rc == 0
