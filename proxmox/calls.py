"""Every request that the provisioner can send to the Proxmox API, as data.

A :class:`Call` names the path as the API's schema names it, so that tests hold each one against the schemas of
Proxmox VE 8.4 and 9.1. Booleans are 1 and 0 (others are refused), and ``sshkeys`` is percent-encoded in full before
it is sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Method = Literal["GET", "POST", "PUT", "DELETE"]
Value = str | int


@dataclass(frozen=True)
class Call:
    """One request: ``path`` with its braces filled from ``at``, and the parameters in ``data``."""

    method: Method
    path: str
    at: Mapping[str, Value] = field(default_factory=dict)
    data: Mapping[str, Value] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The path that is requested, below ``/api2/json``."""
        return self.path.format(**self.at)

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


# Reading


def resources() -> Call:
    """List nodes, guests and storages of the whole cluster in one list."""
    return Call("GET", "/cluster/resources")


def version() -> Call:
    """Tell the release."""
    return Call("GET", "/version")


def cluster_status() -> Call:
    """Tell of the quorum and the nodes."""
    return Call("GET", "/cluster/status")


def permissions() -> Call:
    """List what this token may do: path → privilege → whether it holds below too."""
    return Call("GET", "/access/permissions")


def ha_resources() -> Call:
    """List what HA manages."""
    return Call("GET", "/cluster/ha/resources")


def ha_rules() -> Call:
    """List HA's rules (from 9.0)."""
    return Call("GET", "/cluster/ha/rules")


def ha_groups() -> Call:
    """List HA's groups (up to 8.4)."""
    return Call("GET", "/cluster/ha/groups")


def content(node: str, storage: str, kind: str) -> Call:
    """List what a storage holds: what disks can be imported from (``import``), or backups (``backup``)."""
    return Call("GET", "/nodes/{node}/storage/{storage}/content", {"node": node, "storage": storage}, {"content": kind})


def bridges(node: str) -> Call:
    """List bridges and VNets that guests of a node can be connected to."""
    return Call("GET", "/nodes/{node}/network", {"node": node}, {"type": "any_bridge"})


def config(node: str, vmid: int) -> Call:
    """Show a guest's configuration, with what waits for its restart."""
    return Call("GET", "/nodes/{node}/qemu/{vmid}/config", {"node": node, "vmid": vmid})


def status(node: str, vmid: int) -> Call:
    """Tell whether a guest runs."""
    return Call("GET", "/nodes/{node}/qemu/{vmid}/status/current", {"node": node, "vmid": vmid})


def task(node: str, upid: str) -> Call:
    """Tell how a task is doing."""
    return Call("GET", "/nodes/{node}/tasks/{upid}/status", {"node": node, "upid": upid})


def tasks() -> Call:
    """List the newest tasks of the whole cluster, running ones among them."""
    return Call("GET", "/cluster/tasks")


def interfaces(node: str, vmid: int) -> Call:
    """List the addresses that the guest's agent sees."""
    return Call("GET", "/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces", {"node": node, "vmid": vmid})


def replication_jobs() -> Call:
    """List the cluster's replication jobs."""
    return Call("GET", "/cluster/replication")


def replication_state(node: str) -> Call:
    """Tell when the guests of a node were last replicated."""
    return Call("GET", "/nodes/{node}/replication", {"node": node})


def backup_jobs() -> Call:
    """List the cluster's backup jobs."""
    return Call("GET", "/cluster/backup")


def moments(schedule: str) -> Call:
    """Tell when a calendar event comes next, the next ten times."""
    return Call("GET", "/cluster/jobs/schedule-analyze", {}, {"schedule": schedule})


def certificates(node: str) -> Call:
    """List a node's certificates."""
    return Call("GET", "/nodes/{node}/certificates/info", {"node": node})


# Writing


def migrate(node: str, vmid: int, target: str, *, online: bool, local_disks: bool) -> Call:
    """Bring a guest to another node, running if it runs, with the disks that are its node's own."""
    settings: dict[str, Value] = {"target": target}
    settings |= {"online": 1} if online else {}
    settings |= {"with-local-disks": 1} if local_disks else {}
    return Call("POST", "/nodes/{node}/qemu/{vmid}/migrate", {"node": node, "vmid": vmid}, settings)


def remote_migrate(node: str, vmid: int, remote: str, new: int, settings: Mapping[str, Value]) -> Call:
    """Bring a guest to the node of another cluster that ``remote`` names; afterwards it is there alone."""
    data: dict[str, Value] = {"target-endpoint": remote, "target-vmid": new, "delete": 1, **settings}
    return Call("POST", "/nodes/{node}/qemu/{vmid}/remote_migrate", {"node": node, "vmid": vmid}, data)


def download(node: str, storage: str, image: str, url: str, checksum: str | None) -> Call:
    """Have a node fetch a cloud image. ``checksum`` is ``algorithm:digits``."""
    data: dict[str, Value] = {"content": "import", "filename": image, "url": url}
    if checksum:
        data["checksum-algorithm"], _, data["checksum"] = checksum.partition(":")
    return Call("POST", "/nodes/{node}/storage/{storage}/download-url", {"node": node, "storage": storage}, data)


def create(node: str, vmid: int, settings: Mapping[str, Value]) -> Call:
    """Make a virtual machine; from a backup, where ``archive`` is set."""
    return Call("POST", "/nodes/{node}/qemu", {"node": node}, {"vmid": vmid, **settings})


def convert(node: str, vmid: int) -> Call:
    """Make a virtual machine a template."""
    return Call("POST", "/nodes/{node}/qemu/{vmid}/template", {"node": node, "vmid": vmid})


def clone(node: str, vmid: int, new: int, settings: Mapping[str, Value]) -> Call:
    """Copy a template in full."""
    return Call(
        "POST", "/nodes/{node}/qemu/{vmid}/clone", {"node": node, "vmid": vmid}, {"newid": new, "full": 1, **settings}
    )


def configure(node: str, vmid: int, settings: Mapping[str, Value]) -> Call:
    """Change a guest's configuration."""
    return Call("PUT", "/nodes/{node}/qemu/{vmid}/config", {"node": node, "vmid": vmid}, settings)


def resize(node: str, vmid: int, disk: str, gibibytes: int) -> Call:
    """Grow a disk to an absolute size, so that a repetition does no harm."""
    return Call(
        "PUT", "/nodes/{node}/qemu/{vmid}/resize", {"node": node, "vmid": vmid}, {"disk": disk, "size": f"{gibibytes}G"}
    )


def start(node: str, vmid: int) -> Call:
    """Start a guest."""
    return Call("POST", "/nodes/{node}/qemu/{vmid}/status/start", {"node": node, "vmid": vmid})


def shutdown(node: str, vmid: int, seconds: int) -> Call:
    """Shut a guest down; pull its plug when the time is over."""
    data: dict[str, Value] = {"timeout": seconds, "forceStop": 1}
    return Call("POST", "/nodes/{node}/qemu/{vmid}/status/shutdown", {"node": node, "vmid": vmid}, data)


def destroy(node: str, vmid: int) -> Call:
    """Remove a stopped guest with its disks, and from jobs, HA and pools."""
    return Call("DELETE", "/nodes/{node}/qemu/{vmid}", {"node": node, "vmid": vmid}, {"purge": 1})


def leave_ha(vmid: int) -> Call:
    """Take a guest out of high availability."""
    return Call("DELETE", "/cluster/ha/resources/{sid}", {"sid": f"vm:{vmid}"})


def stop(node: str, vmid: int) -> Call:
    """Pull a guest's plug."""
    return Call("POST", "/nodes/{node}/qemu/{vmid}/status/stop", {"node": node, "vmid": vmid})


def vzdump(node: str, vmid: int, storage: str) -> Call:
    """Back a guest up while it runs; its older backups stay, which the storage's own retention would remove."""
    data: dict[str, Value] = {
        "vmid": str(vmid), "storage": storage, "mode": "snapshot", "compress": "zstd", "remove": 0,
    }  # fmt: skip
    return Call("POST", "/nodes/{node}/vzdump", {"node": node}, data)


def add_job(name: str, settings: Mapping[str, Value]) -> Call:
    """Make a backup job."""
    return Call("POST", "/cluster/backup", {}, {"id": name, **settings})


def change_job(name: str, settings: Mapping[str, Value]) -> Call:
    """Change a backup job."""
    return Call("PUT", "/cluster/backup/{id}", {"id": name}, settings)


def remove_job(name: str) -> Call:
    """Remove a backup job; its backups stay."""
    return Call("DELETE", "/cluster/backup/{id}", {"id": name})


def join_ha(vmid: int, wanted: str, group: str | None = None) -> Call:
    """Put a guest under high availability. ``group`` exists up to 8.4 alone."""
    data: dict[str, Value] = {"sid": f"vm:{vmid}", "state": wanted}
    return Call("POST", "/cluster/ha/resources", {}, data | ({"group": group} if group else {}))


def set_ha(vmid: int, wanted: str, group: str | None = None) -> Call:
    """Change the state that high availability keeps a guest in. ``group`` exists up to 8.4 alone."""
    data: dict[str, Value] = {"state": wanted}
    return Call("PUT", "/cluster/ha/resources/{sid}", {"sid": f"vm:{vmid}"}, data | ({"group": group} if group else {}))


def pin_ha(rule: str, vmid: int, node: str) -> Call:
    """Let high availability run a guest on one node alone (from 9.0)."""
    data: dict[str, Value] = {
        "rule": rule, "type": "node-affinity", "resources": f"vm:{vmid}", "nodes": node, "strict": 1,
    }  # fmt: skip
    return Call("POST", "/cluster/ha/rules", {}, data)


def repin_ha(rule: str, vmid: int, node: str) -> Call:
    """Have a rule of high availability bind a guest to another node alone (from 9.0)."""
    data: dict[str, Value] = {
        "type": "node-affinity", "resources": f"vm:{vmid}", "nodes": node, "strict": 1, "disable": 0,
    }  # fmt: skip
    return Call("PUT", "/cluster/ha/rules/{rule}", {"rule": rule}, data)


def regroup_ha(group: str, node: str) -> Call:
    """Let high availability run a group's guests on another node (up to 8.4)."""
    return Call("PUT", "/cluster/ha/groups/{group}", {"group": group}, {"nodes": node, "restricted": 1})


def group_ha(group: str, node: str) -> Call:
    """Let high availability run a group's guests on one node alone (up to 8.4)."""
    return Call("POST", "/cluster/ha/groups", {}, {"group": group, "nodes": node, "restricted": 1})
