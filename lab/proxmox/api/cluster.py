"""/version and /cluster: identifiers, resources, quorum, high availability."""

import time
from typing import Any

from lab.proxmox import crm, disks, layout
from lab.proxmox.api.call import Call, method
from lab.proxmox.api.status import node_line, summary
from lab.proxmox.errors import ParameterError

UNKNOWN_SECONDS = 2.0
"""How long a new guest has neither status nor name in cluster/resources: the status daemon has not seen it yet."""

MOVED_SECONDS = 1.0
"""How long cluster/resources names the node that a guest came from."""

FORGOTTEN_SECONDS = 300.0
"""How long cluster/resources knows more of a dead node's guests than their numbers and tags: what its status daemon
sent last is dropped then."""


@method("GET", "/version")
async def version(call: Call) -> dict[str, str]:
    """Tell the release."""
    del call
    return {"version": layout.VERSION, "release": layout.VERSION.rpartition(".")[0], "repoid": "5b1c0de5b1c0de5b"}


@method("GET", "/cluster/nextid")
async def next_id(call: Call) -> str:
    """Return a free VM ID. Nothing is reserved: two callers can get the same."""
    if "vmid" in call.parameters:
        if call.vmid in call.cluster.guests:
            raise ParameterError({"vmid": f"VM {call.vmid} already exists"})
        return str(call.vmid)
    return str(next(vmid for vmid in range(100, 1_000_000_000) if vmid not in call.cluster.guests))


@method("GET", "/cluster/status")
async def status(call: Call) -> list[dict[str, Any]]:
    """Tell of the quorum and the nodes."""
    store = call.store
    head = {"type": "cluster", "id": "cluster", "name": layout.CLUSTER, "nodes": len(store.nodes),
            "quorate": int(crm.quorate(store)), "version": 3}  # fmt: skip
    nodes = [
        {"type": "node", "id": f"node/{node.name}", "name": node.name, "nodeid": node.number, "ip": node.address,
         "online": int(crm.online(store, node.name)), "local": int(node.number == 1), "level": ""}
        for node in store.nodes.values()
    ]  # fmt: skip
    return [head, *nodes]


@method("GET", "/cluster/resources")
async def resources(call: Call) -> list[dict[str, Any]]:
    """List guests, nodes and storages over all nodes."""
    kind = call.text("type")
    found: list[dict[str, Any]] = []
    if kind in ("", "vm"):
        states = await call.runtime.states()
        for guest in call.cluster.guests.values():
            if not call.may("VM.Audit", f"/vms/{guest.vmid}"):
                continue
            entry = {
                "id": f"qemu/{guest.vmid}",
                "type": "qemu",
                "node": guest.left if time.time() - guest.moved < MOVED_SECONDS else guest.node,
                **summary(call.cluster, guest, states),
            }
            if not crm.online(call.store, guest.node):
                entry["status"] = "running" if crm.ghost(call.store, guest) and guest.has_container else "unknown"
            lost = call.cluster.lost.get(guest.node)
            if time.time() - guest.created < UNKNOWN_SECONDS:
                entry = {key: entry[key] for key in ("id", "type", "node", "vmid")} | {"status": "unknown"}
            elif lost is not None and time.time() - lost > FORGOTTEN_SECONDS:
                kept = ("id", "type", "node", "vmid", "status", "tags", "lock", "hastate")
                entry = {key: value for key, value in entry.items() if key in kept}
            found.append(entry)
    if kind in ("", "node"):
        found += [node_line(node, online=crm.online(call.store, node.name)) for node in call.store.nodes.values()]
    if kind in ("", "storage"):
        found += [
            {"id": f"storage/{node}/{storage.name}", "type": "storage", "node": node, "storage": storage.name,
             "status": "available" if crm.online(call.store, node) and storage.reachable else "unknown",
             "plugintype": storage.type,
             "shared": int(storage.shared),
             "content": ",".join(sorted(storage.content)), "maxdisk": storage.size,
             "disk": disks.used(call.cluster, storage, node)}
            for node in call.store.nodes for storage in layout.STORAGES.values()
            if call.may("Datastore.Audit", f"/storage/{storage.name}")
        ]  # fmt: skip
    return found


@method("GET", "/cluster/tasks")
async def recent_tasks(call: Call) -> list[dict[str, Any]]:
    """List the cluster's last tasks."""
    keys = ("upid", "node", "type", "id", "user", "starttime", "pid", "pstart")
    return [
        {key: getattr(task, key) for key in keys}
        | ({"endtime": task.endtime, "status": task.exitstatus} if task.exitstatus else {})
        for task in reversed(call.cluster.tasks[-50:])
    ]
