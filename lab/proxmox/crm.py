"""Losing nodes, and what high availability does about it (the cluster resource manager).

A node that loses its power stops its guests, for real. What HA manages on it is fenced, renamed to another node and
started there in a later round, whether its disks are there or not; what it does not stays where it was, and shows as
running for a while. A node that comes back starts the guests that are still its own and shall start with it
(``onboot``), except those that HA keeps.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable

from lab.proxmox import config, disks, layout
from lab.proxmox.errors import ApiError, TaskError
from lab.proxmox.runtime import Runtime
from lab.proxmox.state import Config, Guest, Store

DEAD_SECONDS = 1.0
"""How long a call for a dead node takes until 595; 1 to 9 s were seen."""
GHOST_SECONDS = 30.0
"""How long the guests of a dead node go on showing as running."""
FENCE_SECONDS = 60.0
"""From a node's death to HA's first step; a guest ran elsewhere after 137 s on three real nodes."""
ADOPT_SECONDS = 10.0
"""From a guest's coming under HA to its first step, where the node is fenced already."""

LRM_SECONDS = 2.0
"""From a guest's recovery, which renames its configuration, until its new node starts it: a round of another daemon."""

log = logging.getLogger(__name__)
Boot = Callable[[Guest], "asyncio.Future[None] | object"]


def online(store: Store, node: str) -> bool:
    """Tell whether a node has power."""
    return node not in store.cluster.lost


def quorate(store: Store) -> bool:
    """Tell whether more than half of the nodes are there."""
    return 2 * sum(name not in store.cluster.lost for name in store.nodes) > len(store.nodes)


def manages(store: Store, vmid: int) -> bool:
    """Tell whether requests to start a guest are HA's to carry out: not of one that it ignores."""
    return str(store.cluster.ha.get(f"vm:{vmid}", {}).get("state", "ignored")) != "ignored"


def ghost(store: Store, guest: Guest) -> bool:
    """Tell whether a dead node's guest still shows as running."""
    since = store.cluster.lost.get(guest.node)
    return since is not None and time.time() - since < GHOST_SECONDS


def allowed(store: Store, guest: Guest, node: str) -> bool:
    """Tell whether the rules let HA run a guest on a node. Resource affinity is strict always."""
    return all(_fits(store, guest, node, rule) for rule in store.cluster.rules.values() if not rule.get("disable"))


def _fits(store: Store, guest: Guest, node: str, rule: Config) -> bool:
    resources = [one.strip() for one in str(rule["resources"]).replace(";", ",").split(",")]
    if f"vm:{guest.vmid}" not in resources:
        return True
    if rule.get("type") == "node-affinity":
        return node in str(rule["nodes"]).replace(":", ",").split(",")
    others = [store.cluster.guests.get(int(one.partition(":")[2])) for one in resources if one != f"vm:{guest.vmid}"]
    places = {one.node for one in others if one is not None and online(store, one.node)}
    return node not in places if rule.get("affinity") == "negative" else places <= {node}


class Manager:
    """Recovers what it manages from dead nodes; runs beside the API."""

    def __init__(self, store: Store, runtime: Runtime) -> None:
        self._store = store
        self._runtime = runtime
        self._seen: dict[int, float] = {}
        self._due: dict[int, float] = {}
        """When its node starts a guest that was recovered to it, or that somebody wants to run."""
        self._stopped: set[int] = set()
        """What is disabled and came to rest: it alone is not relocated when its node fails (ha-manager(1))."""

    def ask_to_start(self, guest: Guest) -> None:
        """Note that a managed guest shall run; its node starts it in a later round."""
        self._store.cluster.ha[f"vm:{guest.vmid}"]["state"] = "started"
        self._due.setdefault(guest.vmid, time.time() + LRM_SECONDS)
        self._store.save()

    async def lose(self, node: str) -> None:
        """Take a node's power away: its guests stop at once."""
        self._store.node(node)
        self._store.cluster.lost[node] = time.time()
        self._store.save()
        states = await self._runtime.states()
        for guest in self._on(node):
            power = states.get(guest.vmid)
            if power is not None and power.running:
                await self._runtime.stop(guest.vmid, seconds=0)

    async def give_back(self, node: str) -> None:
        """Give a node its power back; it starts what is still its own."""
        if self._store.cluster.lost.pop(self._store.node(node).name, None) is None:
            return
        self._store.save()
        for guest in self._on(node):
            managed = str(self._store.cluster.ha.get(f"vm:{guest.vmid}", {}).get("state", "ignored"))
            if (managed == "ignored" and guest.config.get("onboot")) or managed == "started":
                await self._boot(guest)

    async def take(self, vmid: int, node: str) -> None:
        """Make a guest another node's, stopped, as root's ``mv`` below /etc/pve/nodes and ``qm unlock`` do.

        Repeated, it does nothing.

        Raises :class:`ApiError` where nobody may write there, or its own node may still run it.
        """
        guest, target = self._store.cluster.guests.get(vmid), self._store.node(node).name
        if guest is None:
            raise ApiError(500, f"no configuration of VM {vmid}")
        if guest.node == target:
            return
        if not quorate(self._store) or not online(self._store, target):
            raise ApiError(500, "Permission denied")
        if online(self._store, guest.node):
            raise ApiError(500, f"{guest.node} is alive, and may run VM {vmid}")
        if disks.is_local(guest) and not disks.replica(self._store.cluster, guest, target):
            raise ApiError(500, f"{target} has no replica of VM {vmid}")
        await self._carry(guest, target)
        guest.config.pop("lock", None)
        self._store.save()

    async def watch(self) -> None:
        """Look every moment for what is to be recovered."""
        while True:
            await asyncio.sleep(0.1)
            try:
                await self._round()
            except Exception:
                log.exception("high availability")

    async def _round(self) -> None:
        now = time.time()
        self._stopped &= {int(sid.partition(":")[2]) for sid in self._store.cluster.ha}
        if not quorate(self._store):
            return
        for sid, entry in list(self._store.cluster.ha.items()):
            vmid, wanted = int(sid.partition(":")[2]), str(entry.get("state", "started"))
            guest = self._store.cluster.guests.get(vmid)
            since = self._store.cluster.lost.get(guest.node) if guest else None
            if guest is None or since is None or wanted == "ignored":
                self._seen.pop(vmid, None)
                if guest is not None:
                    await self._keep(guest, wanted)
                continue
            if wanted == "disabled" and vmid in self._stopped:
                continue
            noticed = self._seen.setdefault(vmid, now)
            if now - since < FENCE_SECONDS or now - noticed < ADOPT_SECONDS:
                continue
            self._seen.pop(vmid, None)
            await self._recover(guest, wanted=wanted)

    async def _keep(self, guest: Guest, wanted: str) -> None:
        """Do what the local resource manager of a guest's node does; what is ignored it leaves alone."""
        if wanted == "disabled":
            self._stopped.add(guest.vmid)
            return
        self._stopped.discard(guest.vmid)
        if wanted == "started" and time.time() > self._due.get(guest.vmid, math.inf):
            del self._due[guest.vmid]
            await self._boot(guest)
            self._store.save()

    async def _recover(self, guest: Guest, *, wanted: str) -> None:
        """Make a guest a living node's, without a look at its disks; without such a node, one disabled rests here."""
        target = self._target(guest)
        if target is None:
            log.warning("VM %s: no recovery node found", guest.vmid)
            if wanted == "disabled":
                self._stopped.add(guest.vmid)
            return
        await self._carry(guest, target)
        if guest.config.get("lock") in ("backup", "mounted"):  # of a fenced node, HA takes these away
            del guest.config["lock"]
        if wanted == "started":
            self._due[guest.vmid] = time.time() + LRM_SECONDS
        self._store.save()

    def _target(self, guest: Guest) -> str | None:
        """Return the node that takes a guest: one that its affinity names; HA knows nothing of disks and replicas."""
        store = self._store
        alive = [name for name in store.nodes if online(store, name) and allowed(store, guest, name)]
        crowd = {name: len(self._on(name)) for name in alive}
        return min(alive, key=lambda name: (crowd[name], name), default=None)

    async def _carry(self, guest: Guest, target: str) -> None:
        """Make a guest another node's; a disk that was the dead node's own is the replica there, or stays behind."""
        if disks.is_local(guest) and not disks.replica(self._store.cluster, guest, target):
            guest.left, guest.moved, guest.node = guest.node, time.time(), target
            self._store.save()
            return
        move(self._store, guest, target)
        if not disks.is_local(guest):
            return
        if volume := disks.boot_volume(self._store.cluster, guest):
            volume.image = disks.replica(self._store.cluster, guest, target)
        if guest.has_container:
            await self._runtime.remove(guest.vmid)
            guest.has_container = False

    async def _boot(self, guest: Guest) -> None:
        from lab.proxmox.api.power import hardware_of  # noqa: PLC0415 (the API's modules import this one)

        try:
            hardware = hardware_of(self._store.cluster, guest)
        except TaskError as error:  # its disk is on another node
            log.warning("VM %s: it does not start on %s: %s", guest.vmid, guest.node, error)
            return
        config.apply_pending(guest)
        await self._runtime.start(hardware, existing=guest.has_container)
        guest.has_container = True

    def _on(self, node: str) -> list[Guest]:
        return [guest for guest in self._store.cluster.guests.values() if guest.node == node and not guest.is_template]


def move(store: Store, guest: Guest, target: str) -> None:
    """Make a guest another node's, with the disks that are its node's own."""
    for volume in disks.of_guest(store.cluster, guest):
        if volume.node:
            disks.remove_volume(store.cluster, guest.node, volume.volid)
            volume.node = target
            store.cluster.volumes[layout.storage(volume.storage).volume_key(target, volume.volid)] = volume
    guest.left, guest.moved, guest.node = guest.node, time.time(), target
    store.save()
