"""``kill -9`` at every journalled moment of a relocation: the next run goes on, and no guest is doubled or lost."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxmox import cli
from tests.contract.proxmox.scenes import ALL, Check, Scene, kill_at_each_moment
from tests.contract.proxmox.two_clusters import Two, stand_in

__all__ = ["stand_in"]


def test_to_other_nodes(scene: Scene) -> None:
    def prepare(before: Scene) -> Check:
        before.files.hosts["pbx01"]["proxmox_node"] = "pve2"
        before.files.hosts["cti01"]["proxmox_node"] = "pve1"

        def check(after: Scene) -> None:
            guests = after.stand_in.store.cluster.guests
            assert after.machines() == ALL
            assert (guests[101].node, guests[121].node, guests[131].node) == ("pve2", "pve1", "pve3")
            assert all(after.runs(vmid) for vmid in (101, 121, 131))

        return check

    kill_at_each_moment(scene, prepare, ("relocate",), 8)


@pytest.fixture
def two(scene: Scene, tmp_path: Path) -> Iterator[Two]:
    with Two.beside(scene.stand_in, scene.files, tmp_path) as found:
        yield found


def test_to_another_cluster(scene: Scene, two: Two, capsys: pytest.CaptureFixture[str]) -> None:
    """One guest under HA is enough: each guest's step is the same."""
    arguments = ("relocate", "-i", "new", "--from", "cluster", "--limit", "pbx01")

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(list(words))
        said = capsys.readouterr()
        return code, said.out, said.err

    def prepare(before: Scene) -> Check:
        before.stand_in.store.cluster.ha["vm:101"] = {"state": "started"}

        def check(after: Scene) -> None:
            assert after.machines() == ALL - Counter({"pbx01": 1})
            far = two.new.store.cluster
            assert {guest.vmid: guest.node for guest in far.guests.values()} == {201: "far1"}
            assert ("lock" in far.guests[201].config, two.new.machines.running) == (False, {201: True})
            assert (after.stand_in.store.cluster.ha, far.ha) == ({}, {"vm:201": {"state": "started"}})

        return check

    kill_at_each_moment(replace(scene, ops=run, beside=((two.new, two.new_files),)), prepare, arguments, 10)
