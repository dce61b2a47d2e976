import json
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

import pytest
from pydantic import ValidationError

from centralino.contract.bans import MAX_REPORT_BYTES, MAX_SECONDS, Ban, BanList, Report, etag_of, plain, within

REPORT = {"address": "203.0.113.7", "part": "sip", "reason": "3 wrong SIP passwords"}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_report_is_for_a_day_unless_it_says_otherwise() -> None:
    assert Report.model_validate(REPORT).seconds == 86_400
    assert Report.model_validate(REPORT | {"seconds": 60}).seconds == 60


def test_an_ipv4_address_in_the_dress_of_ipv6_is_itself() -> None:
    assert Report.model_validate(REPORT | {"address": "::ffff:203.0.113.7"}).address == ip_address("203.0.113.7")
    assert plain(ip_address("2001:db8::7")) == ip_address("2001:db8::7")


@pytest.mark.parametrize(
    "change",
    [
        {"address": "203.0.113.0/24"},
        {"address": "somebody"},
        {"address": "0.0.0.0"},  # noqa: S104 - to be refused
        {"address": "::"},
        {"address": "224.0.0.1"},
        {"address": "fe80::1%eth0"},
        {"part": "nobody"},
        {"reason": ""},
        {"reason": "two\nlines"},
        {"reason": "x" * 201},
        {"seconds": 0},
        {"seconds": MAX_SECONDS + 1},
        {"colour": "red"},
    ],
)
def test_what_is_no_report(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Report.model_validate(REPORT | change)


def test_the_longest_report_fits_its_datagram() -> None:
    longest = {"address": "2001:db8:1111:2222:3333:4444:5555:6666", "reason": "\u20ac" * 200, "seconds": MAX_SECONDS}
    report = Report.model_validate(REPORT | {"part": "operator"} | longest)
    assert len(report.model_dump_json().encode()) < MAX_REPORT_BYTES
    assert len(json.dumps(report.model_dump(mode="json")).encode()) < MAX_REPORT_BYTES


def test_a_list_is_named_by_its_content() -> None:
    ban = Ban.model_validate(REPORT | {"guest": "pbx01", "since": NOW, "until": datetime(2026, 1, 2, tzinfo=UTC)})
    one = BanList(bans=(ban,))
    assert one.etag != BanList().etag
    assert BanList.model_validate_json(one.document()) == one
    assert etag_of(one.document()) == one.etag


def test_within() -> None:
    networks = [ip_network("203.0.113.0/24"), ip_network("2001:db8::/32")]
    assert within("203.0.113.255", networks)
    assert within("::ffff:203.0.113.1", networks)
    assert within("2001:db8::1", networks)
    assert not within("203.0.114.1", networks)
    assert not within("2001:db9::1", networks)
    assert not within("unknown", networks)
    assert not within("203.0.113.1", [])
