"""The lab's test call: two phones register with the panel's credentials, one calls the other, audio passes."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from lab import host
from lab.cluster import Cluster
from lab.errors import LabError
from lab.paths import Paths
from lab.phones.phone import Phone
from lab.podman import Podman

TENANT = 175
CALLER, CALLEE = "101", "102"
TALK = 2.0
ENOUGH_PACKETS = int(TALK * 1000 / 30 * 0.8)
"""The recording has a packet every 30 ms; four fifths must arrive at each end."""


def call(inventory: Annotated[Path, typer.Option(help="The cluster to call in.")]) -> None:
    """Place the call and print its result in one line."""
    cluster = Cluster(inventory)
    paths = Paths.default()
    podman = Podman(host.detect(), paths)
    accounts = cluster.accounts(TENANT)
    pbx = cluster.address("pbx01")
    with ExitStack() as stack:
        caller, callee = (
            stack.enter_context(
                Phone(f"phone-{number}", address=address, pbx=pbx, account=accounts[number], podman=podman, paths=paths)
            )
            for number, address in ((CALLER, "198.18.0.148"), (CALLEE, "198.18.0.149"))
        )
        for phone in (caller, callee):
            phone.register(expires=0)  # a run that was killed left its contact, which counts as unreachable by now
            phone.register()
        answered = callee.answer(ring=0.5)
        placed = caller.call(CALLEE, talk=TALK)
        placed.wait()
        answered.wait()
        heard = caller.received, callee.received
    if min(heard) < ENOUGH_PACKETS:
        raise LabError(f"{CALLER} → {CALLEE} was answered but only {heard[0]} ⇄ {heard[1]} RTP packets arrived")
    typer.echo(f"{CALLER} called {CALLEE}, who answered; RTP packets heard in {TALK:.0f} s: {heard[0]} ⇄ {heard[1]}")


if __name__ == "__main__":
    try:
        typer.run(call)
    except LabError as error:
        sys.exit(f"lab: {error}")
