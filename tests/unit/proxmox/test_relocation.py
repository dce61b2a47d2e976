"""Who goes when, where it stops, and what is said of the calls."""

from dataclasses import replace

import pytest

from proxmox import relocation
from proxmox.errors import ProvisionerError
from proxmox.relocation import Role, Step
from tests.unit.proxmox.samples import GUEST


def step(name: str, *groups: str, standby: bool = False, there: bool = False) -> Step:
    guest = replace(GUEST, name=name, groups=frozenset(groups), standby=standby)
    return Step(guest, guest.vmid, "pve1", there=there)


STEPS = [
    step("db01", "database"),
    step("web01", "web", "database"),
    step("cti01", "cti"),
    step("pbx01", "pbx"),
    step("pbx03", "pbx", "web"),
    step("pbx02", "pbx", standby=True),
]


def test_who_carries_no_calls_goes_first_and_what_calls_do_not_need_last() -> None:
    guests = relocation.sequence(one.guest for one in STEPS)
    assert [(guest.name, relocation.role(guest)) for guest in guests] == [
        ("pbx02", Role.STANDBY),
        ("pbx01", Role.CALLS),
        ("pbx03", Role.CALLS),
        ("cti01", Role.CTI),
        ("web01", Role.WEB),
        ("db01", Role.REST),
    ]


def test_only_a_pbx_can_stand_by() -> None:
    assert step("web01", "web", standby=True).role is Role.WEB


def test_it_stops_after_so_many_or_after_a_guest() -> None:
    assert relocation.until(STEPS, 2, None) == STEPS[:2]
    assert relocation.until(STEPS, None, "cti01") == STEPS[:3]
    assert relocation.until(STEPS, None, None) == STEPS
    with pytest.raises(ProvisionerError, match="--until: pbx09 is none of the guests that go: db01, web01, "):
        relocation.until(STEPS, None, "pbx09")
    arrived = [replace(STEPS[0], there=True), *STEPS[1:]]
    assert relocation.until(arrived, None, "db01") == []
    assert relocation.until(arrived, 1, None) == [STEPS[1]]


@pytest.mark.parametrize(
    ("steps", "switched", "said"),
    [
        (STEPS, True, "proxmox_switch_hook directs new calls to pbx02 before pbx01 moves"),
        (
            STEPS,
            False,
            "calls stay on pbx01, pbx03, which moves as it runs: to direct new ones to pbx02 before, stop with",
        ),
        (STEPS[:4], False, "no PBX stands by (proxmox_standby): pbx01 moves as it runs, and its calls with it"),
        ([step("pbx01", "pbx", there=True), STEPS[5]], False, ""),
    ],
)
def test_it_says_what_becomes_of_the_calls(steps: list[Step], said: str, *, switched: bool) -> None:
    note = relocation.note(steps, switched=switched)
    assert note.startswith(said)
    assert bool(note) == bool(said)
