"""What there is to do: the cluster as it shall be against the cluster as it is. Pure: same input, same plan.

Each step is one request with its reason. ``apply`` makes each subject's steps anew after it has carried some out, so
a plan that was cut off at any point goes on from what it finds, and an empty one is the proof that the outcome is
what was wanted.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from proxmox import calls, values
from proxmox.calls import Call, Value
from proxmox.desired import DESCRIPTION, TEMPLATE_DESCRIPTION, TEMPLATE_SOURCE, Cluster, Guest, Template
from proxmox.state import Machine, State

DISK: Final = "scsi0"
KEY_TO_COME: Final = "(made by apply)"
AT_RESTART: Final = frozenset(
    ("cores", "sockets", "memory", "cpu", "agent", "ciuser", "sshkeys", "ipconfig0", "nameserver", "searchdomain")
)
"""What a running guest takes over when it is next started: its hardware, and what cloud-init reads at boot."""


class Action(StrEnum):
    """The kinds of steps."""

    WAIT = "wait"
    DOWNLOAD = "download"
    CREATE = "create"
    CONVERT = "convert"
    CLONE = "clone"
    CONFIGURE = "configure"
    RESIZE = "resize"
    MIGRATE = "migrate"
    START = "start"


@dataclass(frozen=True)
class Change:
    """One value that becomes another, as a person reads it."""

    key: str
    before: str
    after: str


@dataclass(frozen=True)
class Step:
    """One thing to do, and why. A step without a call waits for somebody else's task."""

    action: Action
    reason: str
    call: Call | None = None
    changes: tuple[Change, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Work:
    """The steps of one template or guest, in order; none where it is as wanted."""

    name: str
    vmid: int
    node: str
    template: bool
    exists: bool
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Templates first, then guests, each sorted by name."""

    works: tuple[Work, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not any(work.steps for work in self.works)


def build(cluster: Cluster, state: State, *, move: bool = False) -> Plan:
    """Return the plan for a cluster whose state has passed :mod:`proxmox.preflight`.

    A guest that runs on another node than the inventory says is left there unless ``move`` is set: HA, or somebody
    who evacuated a node, had a reason. What is on an offline node is left as it is: nobody can read what that is.
    """
    works = []
    for template in cluster.templates:
        machine = state.machines.get(template.vmid)
        has_image = template.image in state.images.get((template.node, template.image_storage), ())
        off = _off(machine, state)
        works.append(
            Work(
                template.name,
                template.vmid,
                machine.node if machine else template.node,
                template=True,
                exists=machine is not None,
                steps=() if off else template_steps(template, machine, has_image=has_image),
                notes=off,
            )
        )
    for guest in cluster.guests:
        machine = state.machines.get(guest.vmid)
        off = _off(machine, state)
        works.append(
            Work(
                guest.name,
                guest.vmid,
                machine.node if machine else guest.node,
                template=False,
                exists=machine is not None,
                steps=() if off else guest_steps(sourced(guest, state), machine, move=move),
                notes=off or (() if move else _placement(guest, machine)),
            )
        )
    return Plan(tuple(works))


def sourced(guest: Guest, state: State) -> Guest:
    """Return a guest with its template on the node that it is on: somebody may have moved it there."""
    machine = state.machines.get(guest.template.vmid)
    if machine is None:
        return guest
    return replace(guest, template=replace(guest.template, node=machine.node))


def template_steps(template: Template, machine: Machine | None, *, has_image: bool) -> tuple[Step, ...]:
    """Return what makes the golden template."""
    if machine is None:
        fetch = calls.download(
            template.node, template.image_storage, template.image, template.image_url, template.image_checksum
        )
        steps = (
            []
            if has_image
            else [Step(Action.DOWNLOAD, f"{template.image_storage} does not hold {template.image}", fetch)]
        )
        settings = _template_settings(template)
        steps += [
            Step(Action.CREATE, "the template does not exist", calls.create(template.node, template.vmid, settings)),
            Step(Action.CONVERT, "guests are cloned from templates", calls.convert(template.node, template.vmid)),
        ]
        return tuple(steps)
    if machine.template:
        return ()
    if machine.lock:
        return (wait(machine),)
    return (
        Step(
            Action.CONVERT,
            "an earlier run made it but did not come to the end",
            calls.convert(machine.node, machine.vmid),
        ),
    )


def made_from(machine: Machine) -> str:
    """Return what a template was made from; empty where it does not say, as those of earlier releases do not."""
    lines = str(machine.config.get("description") or "").splitlines()
    return next((line.removeprefix(TEMPLATE_SOURCE) for line in lines if line.startswith(TEMPLATE_SOURCE)), "")


def guest_steps(guest: Guest, machine: Machine | None, *, move: bool = False) -> tuple[Step, ...]:
    """Return what makes one guest as the inventory wants it; ``move``: on the node that it names, too."""
    if machine is None:
        return (
            Step(Action.CLONE, f"it does not exist; full copy of {guest.template.name}", _clone(guest)),
            _configure(guest, Machine(guest.vmid, guest.node, guest.name), "a copy is as its template"),
            _resize(guest, guest.node, 0),
            _start(guest.node, guest.vmid),
        )
    if move and machine.node != guest.node:
        # By itself: where the guest is afterwards is read, and the other steps are sent to that node.
        return (wait(machine),) if machine.lock else (migration(machine, guest.node),)
    steps = []
    configure = _configure(guest, machine, "differs from the inventory")
    if configure.changes:
        steps.append(configure)
    have = values.disk_size(str(machine.config.get(DISK, "")))
    if have < guest.size.disk << 30:
        steps.append(_resize(guest, machine.node, have))
    if not machine.running:
        steps.append(_start(machine.node, machine.vmid))
    if machine.lock and steps:
        return (wait(machine),)
    return tuple(steps)


def storage_of(machine: Machine) -> str:
    """Return the storage that a machine's disk is on; empty where it has none."""
    return str(machine.config.get(DISK, "")).partition(":")[0]


def further_cards(machine: Machine) -> dict[str, str]:
    """Return the cards beside the first, which is the one that the inventory knows, as settings with cables pulled."""
    return {key: value for key, value in values.pulled(machine.config).items() if key != "net0"}


def apart(machine: Machine) -> tuple[Step, ...]:
    """Return what keeps a copy out of its original's further networks: their cables pulled, their addresses gone.

    Nothing in the inventory would give them other values, and the original serves those networks at its address there.
    """
    now = machine.config
    cards = {
        key: value for key, value in further_cards(machine).items() if values.card(str(now[key])) != values.card(value)
    }
    addresses = sorted(key for key in now if key.startswith("ipconfig") and key != "ipconfig0")
    if not cards and not addresses:
        return ()
    if machine.lock:
        return (wait(machine),)
    data: dict[str, Value] = {**cards, **({"delete": ",".join(addresses)} if addresses else {})}
    changes = [
        Change(key, values.readable(key, now[key]), values.readable(key, cards.get(key)))
        for key in (*cards, *addresses)
    ]
    reason = "its original serves these networks"
    return (Step(Action.CONFIGURE, reason, _reconfigured(machine, data), tuple(changes)),)


def power_steps(machine: Machine | None) -> tuple[Step, ...]:
    """Return what makes a machine that is there run, as it is."""
    if machine is None or machine.running:
        return ()
    return (wait(machine),) if machine.lock else (_start(machine.node, machine.vmid),)


def migration(machine: Machine, target: str) -> Step:
    """Return what brings a machine to another node; disks that both see are not copied, whatever is asked for."""
    call = calls.migrate(machine.node, machine.vmid, target, online=machine.running, local_disks=machine.running)
    return Step(
        Action.MIGRATE,
        f"it {'runs' if machine.running else 'is'} on {machine.node}, wanted on {target}",
        call,
        (Change("node", machine.node, target),),
    )


def settings(guest: Guest, machine: Machine) -> dict[str, Value]:
    """Return the configuration that a guest shall have; of the network card, what we do not manage stays as it is."""
    access = guest.access
    return {
        "sockets": 1,
        "cores": guest.size.cores,
        "memory": str(guest.size.memory),
        "cpu": guest.cpu,
        "net0": values.card_string(_card(guest, machine)),
        "ipconfig0": f"ip={guest.address}/{guest.prefix},gw={guest.gateway}" if guest.address else "ip=dhcp",
        "nameserver": " ".join(str(server) for server in guest.nameservers),
        "searchdomain": guest.search_domain,
        "ciuser": access.user,
        "sshkeys": values.encode_keys(access.public_key or KEY_TO_COME),
        "agent": "enabled=1,fstrim_cloned_disks=1",
        "onboot": 1,
        "tags": values.tag_string(guest.tags),
        "description": DESCRIPTION,
    }


def _card(guest: Guest, machine: Machine) -> dict[str, str]:
    card = values.card(str(machine.config.get("net0", "")))
    keeps = machine.running and "macaddr" in card and not guest.mac_is_set
    card |= {"model": "virtio", "macaddr": card["macaddr"] if keeps else guest.mac, "bridge": guest.bridge}
    card.pop("tag", None)
    return card | ({"tag": str(guest.vlan)} if guest.vlan else {})


def _template_settings(template: Template) -> dict[str, Value]:
    image = f"{template.image_storage}:import/{template.image}"
    pool: dict[str, Value] = {"pool": template.pool} if template.pool else {}
    return {
        "name": template.name,
        "description": f"{TEMPLATE_DESCRIPTION}\n\n{TEMPLATE_SOURCE}{template.source}",
        "tags": values.tag_string(("centralino", "template")),
        "ostype": "l26",
        "cpu": template.cpu,
        "cores": 1,
        "memory": "1024",
        "scsihw": "virtio-scsi-single",
        DISK: f"{template.storage}:0,import-from={image},discard=on,iothread=1",
        "ide2": f"{template.storage}:cloudinit",
        "boot": f"order={DISK}",
        # Cloud images write to the serial console, and some stop booting without one.
        "serial0": "socket",
        "vga": "serial0",
        "agent": "enabled=1,fstrim_cloned_disks=1",
        "net0": f"virtio,bridge={template.bridge}",
        # Upgrades are the roles' matter; at first boot they would only delay the log-in.
        "ciupgrade": 0,
        **pool,
    }


def _clone(guest: Guest) -> Call:
    optional = {"pool": guest.pool, "target": guest.node if guest.node != guest.template.node else None}
    extra = {key: value for key, value in optional.items() if value}
    return calls.clone(
        guest.template.node, guest.template.vmid, guest.vmid, {"name": guest.name, "storage": guest.storage, **extra}
    )


def _configure(guest: Guest, machine: Machine, reason: str) -> Step:
    changes, data = [], {}
    for key, value in settings(guest, machine).items():
        now = machine.config.get(key)
        if values.normal(key, value) != values.normal(key, now):
            data[key] = value
            changes.append(Change(key, values.readable(key, now), values.readable(key, value)))
    late = sorted(AT_RESTART & data.keys()) if machine.running else []
    return Step(
        Action.CONFIGURE,
        reason,
        _reconfigured(machine, data),
        tuple(changes),
        note=f"{', '.join(late)}: after a restart of the guest" if late else "",
    )


def _reconfigured(machine: Machine, data: dict[str, Value]) -> Call:
    """Return the change of a configuration: by its digest, one that somebody makes in between is not overwritten."""
    digest = {"digest": machine.config["digest"]} if "digest" in machine.config else {}
    return calls.configure(machine.node, machine.vmid, {**data, **digest})


def _resize(guest: Guest, node: str, have: int) -> Step:
    before = f"{have / 2**30:g}G" if have else "the template's"
    change = Change("disk", before, f"{guest.size.disk}G")
    return Step(
        Action.RESIZE,
        "the disk is smaller than wanted",
        calls.resize(node, guest.vmid, DISK, guest.size.disk),
        (change,),
    )


def _start(node: str, vmid: int) -> Step:
    return Step(Action.START, "it does not run", calls.start(node, vmid))


def wait(machine: Machine) -> Step:
    """Return the step that waits for somebody else's task."""
    return Step(Action.WAIT, f"a task holds it (lock: {machine.lock})")


def _off(machine: Machine | None, state: State) -> tuple[str, ...]:
    """Return a note where a machine's node is offline."""
    if machine is None or not state.is_off(machine.node):
        return ()
    return (f"its node {machine.node} is offline: left as it is",)


def _placement(guest: Guest, machine: Machine | None) -> tuple[str, ...]:
    if machine is None or machine.node == guest.node:
        return ()
    return (f"runs on {machine.node}, the inventory places it on {guest.node}: left there without --move",)
