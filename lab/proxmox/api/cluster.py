"""/version and /cluster: identifiers, resources, quorum, high availability."""

import time
from typing import Any

from lab.proxmox import layout
from lab.proxmox.api.call import Call, method
from lab.proxmox.api.status import summary
from lab.proxmox.errors import ApiError, ParameterError

UNKNOWN_SECONDS = 2.0
"""How long a new guest has neither status nor name in cluster/resources: the status daemon has not seen it yet."""


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
    del call
    head = {"type": "cluster", "id": "cluster", "name": layout.CLUSTER, "nodes": 3, "quorate": 1, "version": 3}
    nodes = [
        {"type": "node", "id": f"node/{node.name}", "name": node.name, "nodeid": node.number, "ip": node.address,
         "online": 1, "local": int(node.number == 1), "level": ""}
        for node in layout.NODES.values()
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
            entry = {
                "id": f"qemu/{guest.vmid}",
                "type": "qemu",
                "node": guest.node,
                **summary(call.cluster, guest, states),
            }
            if time.time() - guest.created < UNKNOWN_SECONDS:
                entry = {key: entry[key] for key in ("id", "type", "node", "vmid")} | {"status": "unknown"}
            found.append(entry)
    if kind in ("", "node"):
        found += [
            {"id": f"node/{node.name}", "type": "node", "node": node.name, "status": "online", "maxcpu": node.cores,
             "maxmem": node.memory, "cpu": 0.02, "mem": node.memory // 8, "uptime": 86400, "level": ""}
            for node in layout.NODES.values()
        ]  # fmt: skip
    if kind in ("", "storage"):
        found += [
            {"id": f"storage/{node}/{storage.name}", "type": "storage", "node": node, "storage": storage.name,
             "status": "available", "plugintype": storage.type, "shared": int(storage.shared),
             "content": ",".join(sorted(storage.content)), "maxdisk": storage.size, "disk": 0}
            for node in layout.NODES for storage in layout.STORAGES.values()
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


# --- high availability -----------------------------------------------------------------------------------------------


def _sid(text: str) -> str:
    return text if ":" in text else f"vm:{text}"


@method("GET", "/cluster/ha/resources")
async def ha_resources(call: Call) -> list[dict[str, Any]]:
    """List what HA manages."""
    return [{"sid": sid, "type": sid.partition(":")[0], **entry} for sid, entry in sorted(call.cluster.ha.items())]


@method("GET", "/cluster/ha/resources/{sid}")
async def ha_resource(call: Call) -> dict[str, Any]:
    """Show one HA resource."""
    sid = _sid(call.text("sid"))
    if sid not in call.cluster.ha:
        raise ApiError(500, f"no such resource '{sid}'")
    return {"sid": sid, "type": sid.partition(":")[0], **call.cluster.ha[sid]}


@method("POST", "/cluster/ha/resources")
async def add_ha_resource(call: Call) -> None:
    """Put a guest under HA."""
    sid = _sid(call.text("sid"))
    if sid in call.cluster.ha:
        raise ApiError(500, f"resource ID '{sid}' already defined")
    if "group" in call.parameters:
        raise ApiError(500, "invalid parameter 'group': ha groups have been migrated to rules")
    if int(sid.partition(":")[2]) not in call.cluster.guests:
        raise ApiError(500, f"unable to find resource '{sid}'")
    entry = {
        key: value
        for key, value in call.parameters.items()
        if key not in ("sid", "type") and not isinstance(value, list)
    }
    call.cluster.ha[sid] = {"state": "started", **entry}
    call.store.save()


@method("DELETE", "/cluster/ha/resources/{sid}")
async def remove_ha_resource(call: Call) -> None:
    """Take a guest out of HA."""
    sid = _sid(call.text("sid"))
    if call.cluster.ha.pop(sid, None) is None:
        raise ApiError(500, f"cannot delete service '{sid}', not HA managed!")
    call.store.save()


@method("GET", "/cluster/ha/rules")
async def ha_rules(call: Call) -> list[dict[str, Any]]:
    """List HA's rules."""
    kind = call.text("type")
    return [{"rule": name, **rule} for name, rule in sorted(call.cluster.rules.items()) if kind in ("", rule["type"])]


@method("POST", "/cluster/ha/rules")
async def add_ha_rule(call: Call) -> None:
    """Add a rule; it may name only what HA manages."""
    name = call.text("rule")
    if name in call.cluster.rules:
        raise ApiError(500, f"HA rule '{name}' already exists")
    for sid in call.text("resources").replace(";", ",").split(","):
        if _sid(sid.strip()) not in call.cluster.ha:
            raise ApiError(500, f"Rule '{name}' is invalid: cannot use unmanaged resource(s) {sid.strip()}.")
    call.cluster.rules[name] = {
        key: value for key, value in call.parameters.items() if key != "rule" and not isinstance(value, list)
    }
    call.store.save()


@method("DELETE", "/cluster/ha/rules/{rule}")
async def remove_ha_rule(call: Call) -> None:
    """Remove a rule."""
    if call.cluster.rules.pop(call.text("rule"), None) is None:
        raise ApiError(500, f"no such rule '{call.text('rule')}'")
    call.store.save()


@method("GET", "/cluster/ha/status/current")
async def ha_status(call: Call) -> list[dict[str, Any]]:
    """Tell the state of HA's master and of what it manages."""
    states = await call.runtime.states()
    entries: list[dict[str, Any]] = [
        {"id": "quorum", "type": "quorum", "node": "pve1", "status": "OK", "quorate": 1},
        {"id": "master", "type": "master", "node": "pve1", "status": f"pve1 (active, {time.ctime()})"},
    ]
    for sid, entry in sorted(call.cluster.ha.items()):
        vmid = int(sid.partition(":")[2])
        power = states.get(vmid)
        now = "started" if power and power.running else "stopped"
        node = call.cluster.guests[vmid].node if vmid in call.cluster.guests else "pve1"
        entries.append(
            {"id": f"service:{sid}", "type": "service", "sid": sid, "node": node, "state": now, "crm_state": now,
             "request_state": entry["state"], "status": f"{sid} ({node}, {now})"}
        )  # fmt: skip
    return entries
