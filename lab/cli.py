"""``python -m lab``: the lab from the command line."""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lab import containers, host, lifecycle, mirror, standin
from lab.errors import LabError
from lab.paths import Paths
from lab.podman import Podman
from lab.seed import Seed

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
container_app = typer.Typer(
    no_args_is_help=True, help="Containers beside the virtual machines: for role tests and test phones."
)
app.add_typer(container_app, name="container")
node_app = typer.Typer(no_args_is_help=True, help="The cluster's nodes: one dies, and gets its power back.")
app.add_typer(node_app, name="node")
console = Console(stderr=True, highlight=False)


@app.command()
def up() -> None:
    """Make the lab run: network, base image, package mirror, Proxmox stand-in."""
    paths, began = _paths(), time.monotonic()
    with console.status("looking", spinner="dots") as line:

        def progress(text: str) -> None:
            line.update(text)
            if not console.is_terminal:
                console.print(text)

        lifecycle.up(_podman(paths), paths, progress)
    proxmox = paths.proxmox
    console.print(f"lab is up ({time.monotonic() - began:.1f} s)")
    console.print(f"  Proxmox API   https://{standin.HOST}:{standin.port()}/api2/json", soft_wrap=True)
    console.print(f"  certificate   {proxmox / 'ca.pem'}", soft_wrap=True)
    console.print(f"  API token     {proxmox / 'token.json'}", soft_wrap=True)
    console.print(f"  APT proxy     {mirror.PROXY}   packages {mirror.REPOSITORY}", soft_wrap=True)


@app.command()
def down() -> None:
    """Stop everything; disks and the cluster's state stay for the next `up`."""
    paths = _paths()
    lifecycle.down(_podman(paths), paths, _say)


@app.command()
def clean(
    cache: Annotated[bool, typer.Option("--cache", help="Remove the cache folder too: images, packages.")] = False,
    others: Annotated[bool, typer.Option("--others", help="Remove the labs of other checkouts too.")] = False,
) -> None:
    """Remove containers, images, network and state."""
    paths = _paths()
    for state in _podman(paths).other_labs() if others else ():
        _say(f"removing the lab of {state}")
        other = replace(paths, state=state)
        lifecycle.clean(_podman(other), other, _say, cache=False)
    lifecycle.clean(_podman(paths), paths, _say, cache=cache)


@app.command()
def status() -> None:
    """Tell what runs."""
    paths = _paths()
    table = Table("part", "state", "where", box=None, pad_edge=False)
    for part in lifecycle.status(_podman(paths), paths):
        colour = "green" if part.state == "running" else "yellow"
        table.add_row(part.name, f"[{colour}]{part.state}[/{colour}]", part.detail)
    Console().print(table)


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def podman(arguments: Annotated[list[str], typer.Argument(help="What podman is given.")]) -> None:
    """Run podman where the lab's containers live: `python -m lab podman -- ps`."""
    command = _podman().command(arguments)
    os.execvp(command[0], command)  # noqa: S606


@container_app.command("create")
def container_create(
    name: str,
    ip: Annotated[str, typer.Option(help="Address on the lab's network.")],
    image: Annotated[str, typer.Option(help="Image; the base image where none is named.")] = "",
    ssh_key: Annotated[Path | None, typer.Option(help="File with the public keys that may log in.")] = None,
    user: Annotated[str, typer.Option(help="The account that the keys open.")] = "root",
) -> None:
    """Make a systemd container, in place of one of its name, and wait until it answers SSH."""
    paths = _paths()
    keys = [line for line in ssh_key.read_text().splitlines() if line.strip()] if ssh_key else []
    machine = containers.Machine(name=name, address=ip, image=image, seed=Seed(hostname=name, user=user, keys=keys))
    podman = _podman(paths)
    containers.remove(podman, paths, name)
    containers.run(podman, paths, machine, progress=_say)


@container_app.command("remove")
def container_remove(names: list[str]) -> None:
    """Remove containers; those that are gone already are no error."""
    paths = _paths()
    containers.remove(_podman(paths), paths, *names)


@node_app.command("lose")
def node_lose(node: str) -> None:
    """Take a node's power away: its guests' containers stop at once."""
    _tell_lost(standin.switch(_paths(), node, "lost"))


@node_app.command("return")
def node_return(node: str) -> None:
    """Give a node its power back: it starts the guests that are still its own, and no others."""
    _tell_lost(standin.switch(_paths(), node, "back"))


@node_app.command("take")
def node_take(node: str, vmid: int) -> None:
    """Give a node a dead one's guest, stopped, as root does on a node: `mv` below /etc/pve/nodes."""
    standin.take(_paths(), node, vmid)


def _tell_lost(nodes: list[str]) -> None:
    console.print(f"without power: {', '.join(nodes) or 'none'}")


def _paths() -> Paths:
    paths = Paths.default()
    paths.make()
    return paths


def _podman(paths: Paths | None = None) -> Podman:
    host.require_tools()
    return Podman(host.detect(), paths or _paths())


def _say(text: str) -> None:
    console.print(f"[dim]{text}[/dim]")


def main() -> None:
    """Run the command line; a :class:`LabError` is one sentence on standard error and exit code 1."""
    try:
        app()
    except LabError as error:
        console.print(f"[red]lab:[/red] {error}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("lab: interrupted; the same command goes on from here")
        sys.exit(130)
