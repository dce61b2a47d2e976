"""What a guest drops: computed from the panel's list and its own reports, and what nft is told of it."""

import logging
import os
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centralino.agent.bans.firewall import Address, script
from centralino.agent.bans.store import Known, Pending, Store
from centralino.contract.bans import Ban, BanList, Report

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ONE, OTHER = ip_address("203.0.113.7"), ip_address("2001:db8::7")


def report(address: object = ONE, seconds: int = 60) -> Report:
    return Report.model_validate({"address": address, "part": "sip", "reason": "guesses", "seconds": seconds})


def listed(address: object = ONE, seconds: float = 60) -> BanList:
    ban = {"address": address, "part": "sip", "guest": "pbx01", "reason": "guesses"}
    return BanList(bans=(Ban.model_validate(ban | {"since": NOW, "until": NOW + timedelta(seconds=seconds)}),))


def test_times_run_on_and_run_out() -> None:
    known = Known(listed=listed(seconds=60))
    assert known.wanted(NOW) == {ONE: 60}
    assert known.wanted(NOW + timedelta(seconds=59.5)) == {ONE: 1}
    assert known.wanted(NOW + timedelta(seconds=60)) == {}


def test_a_report_holds_here_until_the_panel_speaks_for_it() -> None:
    known = Known(listed=BanList()).with_reports([report(), report(OTHER)], NOW)
    assert known.wanted(NOW) == {ONE: 60, OTHER: 60}
    assert known.with_list(BanList()).wanted(NOW) == {ONE: 60, OTHER: 60}, "the panel has not heard of them"
    told = known.with_outcome(known.pending[0], accepted=True)
    assert told.wanted(NOW) == {ONE: 60, OTHER: 60}, "no gap between the report and the list"
    assert told.with_list(listed(seconds=50)).wanted(NOW) == {ONE: 50, OTHER: 60}
    assert told.with_list(None).wanted(NOW) == {OTHER: 60}, "unchanged: it was on the list already, or lifted"


def test_what_the_panel_refuses_is_lifted_here() -> None:
    known = Known().with_reports([report()], NOW)
    assert known.with_outcome(known.pending[0], accepted=False).wanted(NOW) == {}


def test_a_lifted_address_that_attacks_again_is_banned_again() -> None:
    known = Known().with_reports([report()], NOW)
    known = known.with_outcome(known.pending[0], accepted=True)
    again = known.with_reports([report()], NOW + timedelta(seconds=1))
    assert [one.delivered for one in again.pending] == [False]


def test_many_reports_of_one_address_are_one_and_the_longest_counts() -> None:
    known = Known().with_reports([report(seconds=60), report(seconds=90), report(seconds=30)], NOW)
    assert [one.report.seconds for one in known.pending] == [90]
    assert known.with_list(listed(seconds=120)).wanted(NOW) == {ONE: 120}


def test_an_outcome_of_a_report_that_was_replaced_changes_nothing() -> None:
    first = Known().with_reports([report(seconds=60)], NOW)
    longer = first.with_reports([report(seconds=90)], NOW)
    assert longer.with_outcome(first.pending[0], accepted=True) == longer


def test_it_is_kept_over_a_restart(tmp_path: Path) -> None:
    known = Known(listed=listed(), pending=(Pending.of(report(OTHER), NOW),))
    assert Store(tmp_path).load() == Known()
    Store(tmp_path).keep(known)
    assert Store(tmp_path).load() == known


def test_a_damaged_file_leaves_the_panels_list(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "bans.json").write_text('{"listed": ')
    with caplog.at_level(logging.WARNING):
        assert Store(tmp_path).load() == Known()
    assert "bans.json cannot be read" in caplog.text


def test_the_script_empties_and_fills_both_sets_in_one_transaction() -> None:
    assert script({ONE: 60, OTHER: 5}) == (
        "flush set inet centralino bans4\n"
        "add element inet centralino bans4 { 203.0.113.7 timeout 60s }\n"
        "flush set inet centralino bans6\n"
        "add element inet centralino bans6 { 2001:db8::7 timeout 5s }\n"
    )
    assert script({}) == "flush set inet centralino bans4\nflush set inet centralino bans6\n"


SETS = "set bans4 { type ipv4_addr; flags timeout; }; set bans6 { type ipv6_addr; flags timeout; };"
TABLE = f"table inet centralino {{ {SETS} }};"


@pytest.mark.skipif(os.geteuid() != 0 or not Path("/usr/sbin/nft").exists(), reason="nft needs a network of its own")
@given(bans=st.dictionaries(st.ip_addresses(), st.integers(1, 31_536_000), max_size=20))
def test_nft_takes_every_script(bans: dict[Address, int]) -> None:
    text = TABLE + "\n" + script(bans)
    command = ["unshare", "--net", "nft", "-c", "-f", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
