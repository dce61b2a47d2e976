"""The same role with one jail, other numbers, and reports to another socket: the journal's, where they can be read."""

import time

import pytest
from testinfra.host import Host


def refused(host: Host, address: str, times: int) -> None:
    """Have the panel's unit say that it has refused a phone; the journal knows it by its name."""
    line = f"WARNING centralino.panel.phones: phone refused: address={address} mac=none"
    host.check_output(
        "systemd-run --quiet --wait --collect --unit=centralino-panel.service sh -c %s",
        f"for n in $(seq {times}); do echo '{line}'; done; sleep 1",
    )


def reports(host: Host, address: str) -> list[str]:
    """Return what was reported; journald takes the first word, up to its colon, for a program's name."""
    lines = host.check_output("journalctl --output cat --no-pager --boot").splitlines()
    return [line for line in lines if f'"{address}", "part": ' in line]


def test_the_second_failure_is_reported_once_with_all_that_is_set(host: Host) -> None:
    refused(host, "192.0.2.7", 1)
    time.sleep(1)
    assert reports(host, "192.0.2.7") == []
    refused(host, "192.0.2.7", 1)
    end = time.monotonic() + 20
    while not reports(host, "192.0.2.7") and time.monotonic() < end:
        time.sleep(0.5)
    (report,) = reports(host, "192.0.2.7")
    assert '"part": "phones"' in report
    assert '"reason": "2 requests for the configuration of unknown phones"' in report
    assert '"seconds": 7200' in report


@pytest.mark.parametrize("address", ["192.0.2.8", "2001:db8::9"])
def test_who_is_ignored_is_not_counted(host: Host, address: str) -> None:
    refused(host, address, 5)
    time.sleep(2)
    assert reports(host, address) == []


def test_nothing_else_is_watched(host: Host) -> None:
    assert host.check_output("fail2ban-client status").split("list:")[1].strip() == "phones"
