"""What the audit expects, and what it lets stand."""

import json
import re

import pytest
import yaml

from lab.audit import ports, tls, verdict
from lab.audit.verdict import Verdict


def test_the_documents_table_says_what_each_network_may_find() -> None:
    table = ports.documented()
    assert ports.expected({"pbx", "tftp"}, "everybody", table) == {"5060/udp", "5061/tcp"}
    assert ports.expected({"pbx", "tftp"}, "voice", table) == {"5060/udp", "5061/tcp", "69/udp"}
    assert ports.expected({"web"}, "guests", table) == {"80/tcp", "443/tcp", "8443/tcp"}
    assert ports.expected({"cti"}, "management", table) == {"22/tcp", "8777/tcp"}


def test_every_row_of_the_table_is_read() -> None:
    text = ports.DOCUMENT.read_text(encoding="utf-8").partition("## Ports")[2]
    rows = [line for line in text.splitlines() if re.match(r"\| [a-z]", line) and "function group" not in line]
    assert len(ports.ROW.findall(text)) == len(rows) > 10


def test_a_finding_stays_for_a_written_reason_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    accepted = tmp_path_factory.mktemp("audit") / "accepted.yml"
    accepted.write_text(
        "tls: [{finding: '^MEDIUM x:', reason: because}, {finding: '^LOW z:', place: ^cti, reason: because}]"
    )
    monkeypatch.setattr(verdict, "ACCEPTED", accepted)
    assert Verdict("tls", "panel", "", "", ["MEDIUM x: old"]).passed
    assert not Verdict("tls", "panel", "", "", ["MEDIUM x: old", "HIGH y: new"]).passed
    assert Verdict("tls", "cti", "", "", ["LOW z: there"]).passed
    assert not Verdict("tls", "panel", "", "", ["LOW z: there"]).passed
    assert not Verdict("ssh", "web01", "", "", ["MEDIUM x: old"]).passed


def test_every_written_reason_is_one() -> None:
    for findings in (yaml.safe_load(verdict.ACCEPTED.read_text(encoding="utf-8")) or {}).values():
        for accepted in findings:
            re.compile(accepted["finding"])
            assert len(accepted["reason"].split()) > 5, accepted


def test_a_tls_scan_that_did_not_end_is_a_finding() -> None:
    report = [{"id": "scanTime", "severity": "WARN", "finding": "Scan interrupted"}]
    assert tls._verdict("AMI", json.dumps(report)).open == ["WARN scanTime: Scan interrupted"]  # noqa: SLF001
