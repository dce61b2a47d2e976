"""One request after its checks, and the table of methods that answer."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lab.proxmox import auth
from lab.proxmox.auth import Caller
from lab.proxmox.crm import Manager
from lab.proxmox.errors import ApiError
from lab.proxmox.runtime import Runtime
from lab.proxmox.schema import Value
from lab.proxmox.state import Cluster, Guest, Store
from lab.proxmox.tasks import Tasks, Work


@dataclass(frozen=True)
class Call:
    """A request whose caller is known and whose parameters fit the schema."""

    caller: Caller
    parameters: Mapping[str, Value]
    store: Store
    tasks: Tasks
    runtime: Runtime
    manager: Manager

    @property
    def cluster(self) -> Cluster:
        """The cluster's state."""
        return self.store.cluster

    @property
    def node(self) -> str:
        """The node that the path names; it exists."""
        return self.store.node(str(self.parameters["node"])).name

    @property
    def vmid(self) -> int:
        """The VM ID that the path names."""
        return int(str(self.parameters["vmid"]))

    def guest(self) -> Guest:
        """Return the guest that the path names. On another node it does not exist either, as on a real one."""
        return self.guest_on(self.node, self.vmid)

    def guest_on(self, node: str, vmid: int) -> Guest:
        """Return a guest of a node."""
        guest = self.cluster.guests.get(vmid)
        if guest is None or guest.node != node:
            raise ApiError(500, f"Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist")
        return guest

    def may(self, privilege: str, path: str) -> bool:
        """Tell whether the caller has a privilege; lists are shorter for who has not."""
        return self.caller.name == auth.ROOT or privilege in auth.privileges(self.cluster, self.caller.name, path)

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter as text."""
        return str(self.parameters.get(name, default))

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean parameter."""
        return bool(self.parameters.get(name, default))

    async def is_running(self, vmid: int) -> bool:
        """Ask the runtime whether a guest runs."""
        power = (await self.runtime.states()).get(vmid)
        return power is not None and power.running

    def start_task(self, kind: str, identifier: str | int, work: Work) -> str:
        """Start a task on the path's node and return its UPID."""
        return self.tasks.start(self.node, kind, identifier, self.caller.name, work)


Answer = Callable[[Call], Awaitable[Any]]
METHODS: dict[tuple[str, str], Answer] = {}
"""The methods that the stand-in answers, by verb and path."""


def method(verb: str, path: str) -> Callable[[Answer], Answer]:
    """Enter a function into the table of methods."""

    def enter(answer: Answer) -> Answer:
        METHODS[verb, path] = answer
        return answer

    return enter
