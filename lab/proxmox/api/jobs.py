"""/cluster/backup and /cluster/jobs: the cluster's backup jobs, and when a calendar event comes."""

import secrets
import time
from typing import Any

from lab.proxmox import calendar_events, jobs, rights, schema
from lab.proxmox.api.call import Call, method
from lab.proxmox.errors import ApiError, ParameterError
from lab.proxmox.formats import NAMED
from lab.proxmox.state import Config

_FOR_ROOT = ("dumpdir", "script", "tmpdir")
_WHO = {"vmid": ("all", "exclude", "pool"), "all": ("vmid", "pool"), "pool": ("all", "exclude", "vmid")}
"""Each way to say which guests, and what it takes the place of."""


@method("GET", "/cluster/backup")
async def backup_jobs(call: Call) -> list[dict[str, Any]]:
    """List the backup jobs."""
    return [_listed(name, job) for name, job in sorted(call.cluster.jobs.items())]


@method("GET", "/cluster/backup/{id}")
async def backup_job(call: Call) -> dict[str, Any]:
    """Show one backup job."""
    return _listed(call.text("id"), _find(call))


@method("POST", "/cluster/backup")
async def add(call: Call) -> None:
    """Add a backup job."""
    job = _settings(call)
    rights.demand(call, f"/storage/{job.get('storage', 'local')}", "Datastore.Allocate")
    if "exclude" in job:
        job["all"] = 1
    _verify(job)
    name = call.text("id") or f"backup-{secrets.token_hex(4)}-{secrets.token_hex(2)}"
    if name in call.cluster.jobs:
        raise ApiError(500, f"Job '{name}' already exists")
    call.cluster.jobs[name] = {"enabled": 1, **job, "since": time.time()}
    call.store.save()


@method("PUT", "/cluster/backup/{id}")
async def change(call: Call) -> None:
    """Change a backup job: what is given takes the place of what contradicts it."""
    job, new = _find(call), _settings(call)
    gone = [key for key in call.text("delete").replace(";", ",").split(",") if key]
    if not new and not gone:
        raise ApiError(500, "no options specified")
    if "storage" in new:
        rights.demand(call, f"/storage/{new['storage']}", "Datastore.Allocate")
    for key in {*gone, *(other for way in _WHO if new.get(way) for other in _WHO[way])}:
        job.pop(key, None)
    changed = {**job, **new}
    _verify(changed)
    if "schedule" in new:
        changed["since"] = time.time()
    call.cluster.jobs[call.text("id")] = changed
    call.store.save()


@method("DELETE", "/cluster/backup/{id}")
async def remove(call: Call) -> None:
    """Remove a backup job; its backups stay."""
    _find(call)
    del call.cluster.jobs[call.text("id")]
    call.store.save()


@method("GET", "/cluster/jobs/schedule-analyze")
async def analyze(call: Call) -> list[dict[str, Any]]:
    """Tell when a calendar event comes next."""
    found: list[dict[str, Any]] = []
    moment: float | None = float(call.text("starttime") or time.time())
    while moment is not None and len(found) < int(call.text("iterations", "10")):
        moment = calendar_events.following(call.text("schedule"), moment)
        if moment is not None:
            utc = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))
            found.append({"timestamp": int(moment), "utc": utc})
    return found


def _find(call: Call) -> Config:
    name = call.text("id")
    if name not in call.cluster.jobs:
        raise ParameterError({"id": f"No such job '{name}'"})
    return call.cluster.jobs[name]


def _settings(call: Call) -> Config:
    """Return the job's settings; a start time, the way of old, becomes a schedule."""
    if forbidden := {key: "Only root may set this option." for key in _FOR_ROOT if key in call.parameters}:
        raise ParameterError(forbidden)
    given = {
        key: value
        for key, value in call.parameters.items()
        if key not in ("delete", "id", "dow", "starttime") and not isinstance(value, list)
    }
    if start := call.text("starttime"):
        if "schedule" in given:
            raise ParameterError({"schedule": "'schedule' and 'starttime' cannot be set at the same time"})
        given["schedule"] = f"{call.text('dow')} {start}".strip()
    return given


def _verify(job: Config) -> None:
    faults = {way: "option conflicts with option 'vmid'" for way in ("all", "pool") if job.get(way) and job.get("vmid")}
    if not any(job.get(way) for way in _WHO):
        faults["vmid"] = "property is missing"
    if "schedule" not in job:
        faults["schedule"] = "neither 'starttime' nor 'schedule' were set"
    if faults:
        raise ParameterError(faults)


def _listed(name: str, job: Config) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": name, "type": "vzdump"} | {key: job[key] for key in job if key != "since"}
    keep = NAMED["prune-backups"]
    if "prune-backups" in job and isinstance(keep, dict):  # it is sent as text and read as an object
        shown["prune-backups"] = {
            key: str(count) for key, count in schema.parse_properties(keep, str(job["prune-backups"])).items()
        }
    moment = jobs.comes(job)
    return shown if moment is None else shown | {"next-run": int(moment)}
