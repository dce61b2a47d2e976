"""/nodes: the hosts and their tasks."""

from typing import Any

from lab.proxmox import crm, layout
from lab.proxmox.api.call import Call, method
from lab.proxmox.api.status import node_line
from lab.proxmox.state import Task


@method("GET", "/nodes")
async def nodes(call: Call) -> list[dict[str, Any]]:
    """List the hosts."""
    return [node_line(node, online=crm.online(call.store, node.name)) for node in call.store.nodes.values()]


@method("GET", "/nodes/{node}/status")
async def node_status(call: Call) -> dict[str, Any]:
    """Tell of one host."""
    node = call.store.node(call.node)
    used = node.memory // 8
    return {
        "uptime": 86400,
        "cpu": 0.02,
        "loadavg": ["0.10", "0.12", "0.09"],
        "pveversion": f"pve-manager/{layout.VERSION}/5b1c0de5b1c0de5b",
        "memory": {"total": node.memory, "used": used, "free": node.memory - used, "available": node.memory - used},
        "rootfs": {
            "total": 100 * layout.GIB,
            "used": 10 * layout.GIB,
            "free": 90 * layout.GIB,
            "avail": 90 * layout.GIB,
        },
        "cpuinfo": {"cpus": node.cores, "cores": node.cores // 2, "sockets": 1, "model": "stand-in"},
        "boot-info": {"mode": "efi", "secureboot": 0},
        "current-kernel": {"sysname": "Linux", "release": "6.17.2-1-pve", "version": "#1 SMP", "machine": "x86_64"},
    }


@method("GET", "/nodes/{node}/network")
async def networks(call: Call) -> list[dict[str, Any]]:
    """List a host's bridge and the VNets, as far as the caller may use them."""
    node = call.store.node(call.node)
    there: list[dict[str, Any]] = [
        {"iface": "vmbr0", "type": "bridge", "active": 1, "autostart": 1, "method": "static", "address": node.address},
        *({"iface": vnet, "type": "vnet", "active": 1} for vnet in layout.VNETS),
    ]
    return [one for one in there if call.may("SDN.Use", f"/sdn/zones/{layout.zone(one['iface'])}/{one['iface']}")]


@method("GET", "/nodes/{node}/tasks")
async def tasks(call: Call) -> list[dict[str, Any]]:
    """List a host's tasks, the last first."""
    source, kind, errors = call.text("source", "archive"), call.text("typefilter"), call.flag("errors")
    since, until = int(call.text("since", "0")), int(call.text("until", "99999999999"))
    found = [
        _listed(task)
        for task in reversed(call.cluster.tasks)
        if task.node == call.node
        and (source == "all" or (source == "active") == (not task.exitstatus))
        and (not kind or task.type == kind)
        and (not errors or task.exitstatus not in ("", "OK"))
        and ("vmid" not in call.parameters or task.id == str(call.vmid))
        and since <= task.starttime <= until
    ]
    start, limit = int(call.text("start", "0")), int(call.text("limit", "50"))
    return found[start : start + limit if limit else None]


@method("GET", "/nodes/{node}/tasks/{upid}/status")
async def task_status(call: Call) -> dict[str, Any]:
    """Tell whether a task runs and how it ended."""
    task = call.tasks.find(call.node, call.text("upid"))
    answer = _identity(task) | {"status": "stopped" if task.exitstatus else "running"}
    return answer | ({"exitstatus": task.exitstatus} if task.exitstatus else {})


@method("GET", "/nodes/{node}/tasks/{upid}/log")
async def task_log(call: Call) -> list[dict[str, Any]]:
    """Return a task's lines."""
    task = call.tasks.find(call.node, call.text("upid"))
    start, limit = int(call.text("start", "0")), int(call.text("limit", "50"))
    lines = list(enumerate(task.log or ["no content"], 1))
    return [{"n": number, "t": text} for number, text in lines[start : start + limit if limit else None]]


def _identity(task: Task) -> dict[str, Any]:
    keys = ("upid", "node", "type", "id", "user", "starttime", "pid", "pstart")
    return {key: getattr(task, key) for key in keys}


def _listed(task: Task) -> dict[str, Any]:
    return _identity(task) | ({"endtime": task.endtime, "status": task.exitstatus} if task.exitstatus else {})
