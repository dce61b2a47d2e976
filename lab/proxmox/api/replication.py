"""/cluster/replication: the jobs that copy guests' disks to other nodes, and how they are doing."""

from typing import Any

from lab.proxmox import disks, replication, rights
from lab.proxmox.api.call import Call, method
from lab.proxmox.errors import ApiError, ParameterError
from lab.proxmox.state import Config

_CONFIGURED = ("comment", "disable", "guest", "rate", "schedule", "target", "type")
"""What of a job is configuration; the rest is its state."""


@method("GET", "/cluster/replication")
async def jobs(call: Call) -> list[dict[str, Any]]:
    """List the replication jobs."""
    return [_listed(name, job) for name, job in sorted(call.cluster.replication.items())]


@method("POST", "/cluster/replication")
async def add(call: Call) -> None:
    """Add a job; its first copy begins at once, a node's within a minute."""
    name = call.text("id")
    vmid, target = int(name.partition("-")[0]), call.store.node(call.text("target")).name
    rights.demand(call, f"/vms/{vmid}", "VM.Replicate")
    if name in call.cluster.replication:
        raise ApiError(500, f"replication job '{name}' already exists")
    guest = call.cluster.guests.get(vmid)
    if guest is None:
        raise ApiError(500, f"unable to find guest '{vmid}'")
    if guest.node == target:
        raise ParameterError({"target": "target is local node."})
    replication.check(guest)
    settings = {key: value for key, value in call.parameters.items() if key != "id" and not isinstance(value, list)}
    call.cluster.replication[name] = {"guest": vmid, "schedule": replication.DEFAULT_SCHEDULE, **settings}
    call.store.save()


@method("DELETE", "/cluster/replication/{id}")
async def remove(call: Call) -> None:
    """Remove a job with its copy; a node does so at the job's next run."""
    job = _find(call)
    rights.demand(call, f"/vms/{job['guest']}", "VM.Replicate")
    del call.cluster.replication[call.text("id")]
    call.store.save()
    await disks.drop_image(call.cluster, call.runtime, str(job.get("image", "")))


@method("POST", "/nodes/{node}/replication/{id}/schedule_now")
async def schedule_now(call: Call) -> str:
    """Have a job run as soon as it can."""
    job = _find(call)
    job["asked"] = 1
    call.store.save()
    return call.text("id")


@method("GET", "/nodes/{node}/replication")
async def state(call: Call) -> list[dict[str, Any]]:
    """Tell how the jobs of a node's guests are doing."""
    return [
        {**_listed(name, job), "vmtype": "qemu", "last_sync": job.get("last_sync", 0),
         "last_try": job.get("last_sync", 0), "fail_count": 0, "duration": job.get("duration", 1.5)}
        for name, job in sorted(call.cluster.replication.items())
        if call.cluster.guests[int(job["guest"])].node == call.node
    ]  # fmt: skip


def _find(call: Call) -> Config:
    name = call.text("id")
    if name not in call.cluster.replication:
        raise ApiError(500, f"no such replication job '{name}'")
    return call.cluster.replication[name]


def _listed(name: str, job: Config) -> dict[str, Any]:
    settings = {key: job[key] for key in _CONFIGURED if key in job}
    return {
        "id": name,
        "type": "local",
        "jobnum": int(name.partition("-")[2]),
        "schedule": replication.DEFAULT_SCHEDULE,
        **settings,
    }
