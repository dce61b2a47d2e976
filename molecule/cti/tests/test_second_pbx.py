"""Calls, hold, transfers, parking and queues once more, with the phones at another PBX of the same proxy."""

from collections.abc import Iterator

import pytest
from beside import Pbx, second_pbx
from test_actions import (  # noqa: F401 - asked here with this module's PBX
    test_a_blind_transfer_leaves_the_others_talking,
    test_a_call_from_ones_own_extension_and_its_end,
    test_a_parked_call_waits_and_is_taken,
    test_a_phone_holds_a_call_and_takes_it_back,
    test_a_queues_agent_comes_pauses_and_goes,
    test_an_attended_transfer_asks_first,
    test_callers_wait_in_a_queue_until_an_agent_comes,
)
from testinfra.host import Host

SIP = 5160
OWN_PORTS = {":5060": f":{SIP}", ":5061": ":5161"}


@pytest.fixture(scope="module")
def pbx(host: Host) -> Iterator[Pbx]:
    """Return a twin of the PBX that the role has made; that one has no phones meanwhile."""
    transports = host.file("/etc/asterisk/pjsip_transports.conf").content_string
    for first, own in OWN_PORTS.items():
        transports = transports.replace(first, own)
    rtp = "[general]\nrtpstart=32000\nrtpend=33000\n"
    made = second_pbx(host, {"pjsip_transports.conf": transports, "rtp.conf": rtp}, twin=True)
    yield Pbx(made.release, made.command, SIP)
    made.remove()
