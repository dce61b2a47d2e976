"""The firewall once every variable is changed: it filters as before, and says nothing."""

from typing import Any

from testinfra.host import Host


def test_nothing_is_logged(host: Host, changed: dict[str, Any]) -> None:
    rules = host.check_output("nft list table inet centralino")
    assert "dport 8001 accept" in rules.replace("{ 8001 }", "8001")
    assert (" log " in rules) == changed["firewall_log"]
