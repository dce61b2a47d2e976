"""What lists and status pages tell of a guest."""

import time
from collections.abc import Mapping
from typing import Any

from lab.proxmox import config, disks
from lab.proxmox.layout import Node
from lab.proxmox.runtime import Power
from lab.proxmox.state import Cluster, Guest

MIB = 2**20


def node_line(node: Node, *, online: bool) -> dict[str, Any]:
    """Return a node's line; of one without power the cluster knows no more than its name."""
    name = node.name
    if not online:
        return {"id": f"node/{name}", "type": "node", "node": name, "status": "offline"}
    return {
        "id": f"node/{name}", "type": "node", "node": name, "status": "online", "maxcpu": node.cores,
        "maxmem": node.memory, "cpu": 0.02, "mem": node.memory // 8, "uptime": 86400, "level": "",
    }  # fmt: skip


def summary(cluster: Cluster, guest: Guest, states: Mapping[int, Power]) -> dict[str, Any]:
    """Return a guest's line: identity, power, size."""
    power = states.get(guest.vmid, Power(running=False))
    boot = config.boot_disk(guest.config)
    volid = str(guest.config[boot]).partition(",")[0] if boot else ""
    size = next((volume.size for volume in disks.of_guest(cluster, guest) if volume.volid == volid), 0)
    memory = config.memory_of(guest.config) * MIB
    line: dict[str, Any] = {
        "vmid": guest.vmid,
        "name": guest.name,
        "status": "running" if power.running else "stopped",
        "template": int(guest.is_template),
        "uptime": max(0, int(time.time()) - power.since) if power.running else 0,
        "maxcpu": config.cores_of(guest.config),
        "maxmem": memory,
        "maxdisk": size,
        "mem": memory // 4 if power.running else 0,
        "cpu": 0.0,
        "disk": 0,
        "diskread": 0,
        "diskwrite": 0,
        "netin": 0,
        "netout": 0,
    }
    if guest.config.get("tags"):
        line["tags"] = guest.config["tags"]
    if guest.config.get("lock"):
        line["lock"] = guest.config["lock"]
    if entry := cluster.ha.get(f"vm:{guest.vmid}"):
        line["hastate"] = entry["state"]
    return line
