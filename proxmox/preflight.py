"""What of the cluster stands in a plan's way, as sentences. Pure; looked at before anything is touched."""

from collections.abc import Iterable, Iterator

from proxmox import rights, values
from proxmox.desired import Cluster, Guest, Template
from proxmox.plan import DISK, made_from, storage_of
from proxmox.state import Machine, State, stranger


def problems(cluster: Cluster, state: State, *, templates_serve: bool = True) -> list[str]:
    """Return a sentence for everything that makes the inventory impossible on this cluster.

    Without ``templates_serve``, new guests are copies of something else.
    """
    found: list[str] = [*quorum(state), *lacking(cluster, state)]
    if found:  # what follows would only be its consequences: lists are shorter for who may not see all
        return found
    for guest in cluster.guests:
        machine = state.machines.get(guest.vmid)
        found += identity(guest, state)
        if machine is None:
            found += _room(guest, state)
            found += _template_reach(guest, state) if templates_serve else ()
            found += _addresses(guest, state)
            found += _nameless(guest, state)
        elif not state.is_off(machine.node):
            found += _disk(guest, machine)
    return list(dict.fromkeys([*found, *template_problems(cluster, state)]))


def arrivals(state: State, coming: Iterable[tuple[Guest, Machine]]) -> list[str]:
    """Return a sentence for everything that stands in the way of guests that come as the machines that they are."""
    found: list[str] = []
    for guest, machine in coming:
        found += [*identity(guest, state), *_room(guest, state), *_disk(guest, machine)]
        if guest.vmid not in state.machines:
            found += _addresses(guest, state)
    return list(dict.fromkeys(found))


def template_problems(cluster: Cluster, state: State) -> list[str]:
    """Return a sentence for everything that stands in the way of the golden templates."""
    found: list[str] = []
    for template in cluster.templates:
        where = next(guest.where for guest in cluster.guests if guest.template == template)
        found += _template(template, where, state)
    return found


def quorum(state: State) -> Iterator[str]:
    """Refuse to work on a cluster that cannot decide; it answers every write with "Permission denied"."""
    if not state.quorate:
        off = ", ".join(sorted(name for name, node in state.nodes.items() if not node.online)) or "unknown"
        yield (
            f"the Proxmox cluster has no quorum (offline: {off}), nothing can be changed on it: bring nodes or their "
            "network back, and see `pvecm status` on a node"
        )


def lacking(cluster: Cluster, state: State, operations: tuple[str, ...] = ()) -> Iterator[str]:
    """Name what the token lacks: privileges that are lacking on the same paths in one sentence."""
    lacks: dict[str, list[str]] = {}
    for right in rights.missing(rights.needed(cluster, operations), state.rights):
        lacks.setdefault(right.privilege, []).append(right.path)
    together: dict[tuple[str, ...], list[str]] = {}
    for privilege, paths in lacks.items():
        together.setdefault(tuple(paths), []).append(privilege)
    endpoint = cluster.endpoint
    place = endpoint.where.get("proxmox_api_token_id", "proxmox_api_token_id")
    for where, privileges in together.items():
        yield (
            f"{place}: the token {endpoint.token_id} lacks {', '.join(sorted(privileges))} on {', '.join(where)}: "
            "grant it to the token and to its user (Datacenter, Permissions; docs/operations/rights.md has the role)"
        )


def _addresses(guest: Guest, state: State) -> Iterator[str]:
    """Refuse a new guest whose card or IP address another machine of the cluster has."""
    for other in state.machines.values():
        for card in values.cards(other.config).values():
            if card.get("macaddr") == guest.mac:
                yield (
                    f"{guest.where['proxmox_mac']}: the card address {guest.mac} of {guest.name} is that of "
                    f"{other.name} ({other.vmid} on {other.node}): set proxmox_mac to another, or remove that machine"
                )
        for key, value in other.config.items():
            if key.startswith("ipconfig") and values.properties(str(value)).get("ip", "").partition("/")[0] == str(
                guest.address
            ):
                yield (
                    f"{guest.where['ansible_host']}: the address {guest.address} of {guest.name} is that of "
                    f"{other.name} ({other.vmid} on {other.node}): give one of the two another"
                )


def identity(guest: Guest, state: State) -> Iterator[str]:
    """Refuse to touch what is not ours and to make a second one of what there is."""
    place = guest.where["proxmox_vmid"]
    machine = state.machines.get(guest.vmid)
    if machine is not None and state.is_off(machine.node):
        # Who it is and what disks it has cannot be read, and a second one made of it would be a second exchange.
        yield f"{guest.name} ({guest.vmid}) is {_out_of_reach(machine.node)}"
    elif machine is not None and (what := stranger(machine, guest.name)):
        yield (
            f"{place}: proxmox_vmid {guest.vmid} is {what} on {machine.node}, not {guest.name}: give "
            f"{guest.name} a free number"
        )
    for other in state.machines.values():
        if other.name != guest.name or other.vmid == guest.vmid:
            continue
        if not state.is_off(other.node):
            yield (
                f"{place}: {guest.name} exists already as {other.vmid} on {other.node}, the inventory says "
                f"{guest.vmid}: set proxmox_vmid to {other.vmid}, or remove that machine first"
            )
        elif machine is None:  # one that is there has taken the lost one's place
            yield f"{place}: {guest.name} exists already: as {other.vmid} it is {_out_of_reach(other.node)}"


def _out_of_reach(node: str) -> str:
    return (
        f"on node {node}, which is offline: bring the node back, or, where it is really off, its guests by `python -m "
        f"proxmox failover {node}` (docs/operations/failover.md)"
    )


def _nameless(guest: Guest, state: State) -> Iterator[str]:
    """Refuse to make a guest that may lie on an offline node, of whose machines the cluster forgets all but tags."""
    for other in state.machines.values():
        ours = "centralino" in other.tags and "template" not in other.tags and other.vmid not in state.named
        if state.is_off(other.node) and not other.name and ours:
            yield (
                f"{guest.where['proxmox_vmid']}: {guest.name} is not made, because {other.vmid} may be it, a guest of "
                f"this product without a name {_out_of_reach(other.node)}"
            )


def _room(guest: Guest, state: State) -> Iterator[str]:
    """Look whether a new guest's node has what it needs."""
    node = state.nodes.get(guest.node)
    if node is None:
        yield _no_node("proxmox_node", guest.node, guest.where, state)
        return
    if not node.online:
        yield (
            f"{guest.where['proxmox_node']}: node {guest.node} is offline: bring it back, or place {guest.name} on "
            "another node"
        )
        return
    if node.cores and guest.size.cores > node.cores:
        yield (
            f"{guest.where['proxmox_cores']}: {guest.name} asks for {guest.size.cores} cores and node {guest.node} "
            f"has {node.cores}: set proxmox_cores lower, or place it on a larger node"
        )
    if node.memory and guest.size.memory > node.memory:
        yield (
            f"{guest.where['proxmox_memory']}: {guest.name} asks for {guest.size.memory} MiB of memory and node "
            f"{guest.node} has {node.memory}: set proxmox_memory lower, or place it on a larger node"
        )
    yield from storage_problems(
        "proxmox_storage", guest.node, guest.storage, content="images", where=guest.where, state=state
    )
    yield from _bridge(guest.node, guest.bridge, guest.where, state)


def _template(template: Template, where: dict[str, str], state: State) -> Iterator[str]:
    machine = state.machines.get(template.vmid)
    if machine is not None and state.is_off(machine.node):
        return  # in the way of those alone that would be cloned from it
    if machine is not None:
        place = where["proxmox_template_vmid"]
        what = stranger(machine, template.name, template=True)
        if what:
            yield (
                f"{place}: proxmox_template_vmid {template.vmid} is {what} on {machine.node}, not {template.name}: "
                "set another number"
            )
        elif machine.template and made_from(machine) not in {"", template.source}:
            yield (
                f"{place}: template {template.name} ({template.vmid}) was made from {made_from(machine)}, and the "
                f"inventory names {template.source}: give the new one a free number, `template --prune` removes the old"
            )
        elif not machine.template and not machine.lock and DISK not in machine.config:
            yield (
                f"{place}: {template.name} ({template.vmid} on {machine.node}) has no disk, its making was cut off: "
                "remove it, then run again"
            )
        return
    node = state.nodes.get(template.node)
    if node is None:
        yield _no_node("proxmox_template_node", template.node, where, state)
        return
    if not node.online:
        yield (
            f"{where['proxmox_template_node']}: node {template.node} is offline: bring it back, or make the "
            "template on another node"
        )
        return
    yield from storage_problems(
        "proxmox_image_storage", template.node, template.image_storage, content="import", where=where, state=state
    )
    yield from storage_problems(
        "proxmox_template_storage", template.node, template.storage, content="images", where=where, state=state
    )
    yield from _bridge(template.node, template.bridge, where, state)


def _template_reach(guest: Guest, state: State) -> Iterator[str]:
    """Refuse to clone a template that is on an offline node, or from or to local storage between two nodes."""
    template = guest.template
    machine = state.machines.get(template.vmid)
    if machine is not None and state.is_off(machine.node):
        yield (
            f"{guest.where['proxmox_template_vmid']}: template {template.name} ({template.vmid}), which {guest.name} "
            f"is cloned from, is on node {machine.node}, which is offline: bring it back, or give new guests another "
            "(proxmox_template_node, proxmox_template_vmid)"
        )
        return
    node = machine.node if machine else template.node
    storage = (storage_of(machine) if machine else "") or template.storage
    if node == guest.node:
        return
    each = "give each node a template (proxmox_template_node, proxmox_template_vmid)"
    if state.is_own(node, storage):
        yield (
            f"{guest.where['proxmox_template_node']}: template {template.name} is on {node}'s own storage "
            f"{storage}, from where {guest.name} on {guest.node} cannot be cloned: put it on shared storage "
            f"(proxmox_template_storage), or {each}"
        )
    elif state.is_own(guest.node, guest.storage):
        yield (
            f"{guest.where['proxmox_template_node']}: template {template.name} is on {node}, and Proxmox clones "
            f"nothing to another node's own storage, as {guest.storage} of {guest.name} on {guest.node} is: {each}, or "
            "put the guest on shared storage (proxmox_storage)"
        )


def storage_problems(
    variable: str, node: str, name: str, *, content: str, where: dict[str, str], state: State
) -> Iterator[str]:
    """Refuse a storage that is not there, does not take the content, or is not available."""
    storage = state.storages.get((node, name))
    if storage is None:
        takers = sorted(name for (on, name), one in state.storages.items() if on == node and content in one.content)
        there = ", ".join(takers) or "none"
        yield (
            f"{where[variable]}: {variable}: node {node} has no storage {name}: set one with content `{content}` "
            f"(it has: {there})"
        )
    elif content not in storage.content:
        yield (
            f"{where[variable]}: {variable}: storage {name} does not take content `{content}`: enable it there "
            "(Datacenter, Storage), or set another storage"
        )
    elif not storage.available:
        yield (
            f"{where[variable]}: {variable}: storage {name} is not available on node {node}: bring it back, or set "
            "another storage"
        )


def _bridge(node: str, bridge: str, where: dict[str, str], state: State) -> Iterator[str]:
    there = state.bridges.get(node)
    if there is not None and bridge not in there:
        yield (
            f"{where['proxmox_bridge']}: proxmox_bridge: node {node} has no bridge {bridge} that this token may "
            f"use: set another (it has: {', '.join(sorted(there)) or 'none'})"
        )


def _no_node(variable: str, name: str, where: dict[str, str], state: State) -> str:
    return (
        f"{where[variable]}: {variable}: {name} is not a node of the cluster: set one of "
        f"{', '.join(sorted(state.nodes))}"
    )


def _disk(guest: Guest, machine: Machine) -> Iterator[str]:
    """Refuse to shrink a disk, or to grow one that is not there."""
    if machine.lock or machine.kind != "qemu" or machine.name != guest.name:
        return
    if DISK not in machine.config:
        yield (
            f"{guest.where['proxmox_vmid']}: {guest.name} ({guest.vmid} on {machine.node}) has no disk {DISK}: it "
            "was not made by this provisioner, remove it or give the guest another proxmox_vmid"
        )
        return
    have = values.disk_size(str(machine.config[DISK]))
    if have > guest.size.disk << 30:
        yield (
            f"{guest.where['proxmox_disk']}: proxmox_disk of {guest.name} is {guest.size.disk} GiB and its disk has "
            f"{have / 2**30:g}: disks only grow, set at least {-(-have >> 30)}"
        )
