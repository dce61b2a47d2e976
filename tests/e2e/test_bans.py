"""A real attack on the running cluster: out everywhere within two seconds, in again at once; an honest phone stays."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta

import pytest

from lab import host, images
from lab.cluster import Cluster
from lab.errors import LabError
from lab.paths import Paths
from lab.phones.phone import Account, Phone
from lab.podman import NETWORK, Podman

ATTACKER, HONEST = "198.18.0.148", "198.18.0.149"
"""Neither is in cluster_never_banned, as the phones of the other tests are."""
CONTAINER = "e2e-attacker"
GUESSES = 2000
WITHIN = 2.0


def third_wrong_password(cluster: Cluster) -> float:
    """Return when Asterisk refused the attacker's third password since the last ban (seconds since the epoch)."""
    lines = cluster.ssh("pbx01", f"grep 'ChallengeResponseFailed.*/{ATTACKER}/' /var/log/asterisk/security.log")
    times = map(datetime.fromisoformat, re.findall(r'EventTV="([^"]+)"', lines))
    recent = [moment for moment in times if moment > datetime.now(UTC) - timedelta(minutes=1)]
    return recent[2].timestamp()


def in_force(cluster: Cluster, guest: str) -> float:
    """Return when the attacker was dropped on a guest (seconds since the epoch)."""
    journal = cluster.ssh(guest, "journalctl --unit centralino-bans --output short-unix --no-pager --since=-1min")
    found = [line for line in journal.splitlines() if f"in force: address={ATTACKER} " in line]
    assert found, f"{guest} has not heard of the ban"
    return float(found[-1].split()[0])


@pytest.fixture(scope="module")
def podman() -> Podman:
    return Podman(host.detect(), Paths.default())


@pytest.fixture
def attacker(podman: Podman) -> Iterator[Callable[..., str]]:
    """Run SIPVicious in a container on the lab's network: no guest's address, and not this machine's."""
    image = images.ensure(images.AUDITOR, podman, Paths.default(), print)
    podman.remove(CONTAINER)
    limits = [*podman.limits, "--label", podman.label]
    podman("run", "--detach", "--init", "--name", CONTAINER, "--network", NETWORK, "--ip", ATTACKER, *limits, image)

    def run(*command: str, stdin: str | None = None) -> str:
        return podman("exec", "--interactive", CONTAINER, *command, stdin=stdin)

    yield run
    podman.remove(CONTAINER)


@pytest.fixture
def honest_phone(cluster: Cluster, podman: Podman) -> Iterator[Callable[[str], Phone]]:
    """Return a phone at an address that could be banned, with the password that it is given."""
    account = cluster.accounts(175)["101"]
    with ExitStack() as stack:

        def make(secret: str) -> Phone:
            phone = Phone(
                "e2e-honest",
                address=HONEST,
                pbx=cluster.address("pbx01"),
                account=Account(account.endpoint, secret or account.secret),
                podman=podman,
                paths=Paths.default(),
            )
            return stack.enter_context(phone)

        yield make


@pytest.fixture(autouse=True)
def lifted(cluster: Cluster) -> Iterator[None]:
    """Begin and end without bans of these addresses; the day's earlier runs are forgotten too."""

    def forget() -> None:
        for address in (ATTACKER, HONEST):
            cluster.ssh("web01", f"centralino ban lift {address}")
        cluster.ssh("pbx01", "systemctl restart fail2ban")

    forget()
    yield
    forget()


def reaches(run: Callable[..., str], address: str, port: int) -> bool:
    """Tell whether a connection gets through."""
    said = run("nmap", "-Pn", "-n", "-sT", "--max-retries", "1", "-p", str(port), address)
    return f"{port}/tcp open" in said


def test_a_password_guesser_is_out_everywhere_within_two_seconds_and_lifted_as_fast(
    cluster: Cluster, attacker: Callable[..., str], record_property: Callable[[str, object], None]
) -> None:
    account = cluster.accounts(175)["101"]
    doors = {"pbx01": 5061, "cti01": 8777, "web01": 443}
    for guest, port in doors.items():
        assert reaches(attacker, cluster.address(guest), port), f"{guest} must be open before the attack"
    words = "\n".join([*(f"guess-{number}" for number in range(GUESSES)), account.secret])
    attacker("sh", "-c", "cat > /tmp/words", stdin=words)

    with suppress(LabError):  # it ends with an error: nothing answers any more
        attacker("timeout", "15", "svcrack", "-u", account.endpoint, "-d", "/tmp/words", cluster.address("pbx01"))  # noqa: S108
    third = third_wrong_password(cluster)
    for guest in doors:
        seconds = in_force(cluster, guest) - third
        record_property(f"{guest}: seconds after the third wrong password", round(seconds, 2))
        assert seconds <= WITHIN, f"{guest} drops the attacker {seconds:.2f} s after the third wrong password"
    for guest, port in doors.items():
        assert not reaches(attacker, cluster.address(guest), port), f"{guest} still answers"
    listed = cluster.ssh("web01", "centralino ban list")
    assert ATTACKER in listed
    assert "pbx01" in listed

    cluster.ssh("web01", f"centralino ban lift {ATTACKER}")
    time.sleep(WITHIN)
    for guest, port in doors.items():
        assert reaches(attacker, cluster.address(guest), port), f"{guest} is still closed"


def test_a_phone_with_one_typo_is_not_banned(cluster: Cluster, honest_phone: Callable[[str], Phone]) -> None:
    with honest_phone("x" * 32) as wrong, pytest.raises(LabError, match="register failed"):
        wrong.register()
    with honest_phone("") as right:
        right.register()
        time.sleep(2)
        assert HONEST not in cluster.ssh("web01", "centralino ban list")
        right.register()
