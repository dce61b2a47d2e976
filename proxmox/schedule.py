"""The command ``schedule``: the cluster's own backup jobs become what the inventory says.

One job for each backup storage that guests name, with all of those guests by their VMIDs, whatever node they are on. A
job's name tells whose it is; others are left alone, and so is what this does not set: who is told, how fast it goes.
"""

import argparse
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from proxmox import backups, calls, session, values
from proxmox.calls import Call, Value
from proxmox.desired import Cluster
from proxmox.errors import ProvisionerError, RefusedError
from proxmox.plan import Change
from proxmox.session import Session

_DEFAULTS: Final[Mapping[str, Value]] = {"enabled": 1, "mode": "snapshot", "compress": "0", "repeat-missed": 0}
"""What holds where a job does not say it."""
_NARROWS: Final = ("all", "exclude", "node", "pool")
"""What would have a job back up other guests than those that it names, or not where they are."""


@dataclass(frozen=True)
class Step:
    """What is to be done with one job: ``+`` made, ``~`` changed, ``-`` removed."""

    sign: str
    name: str
    call: Call
    changes: tuple[Change, ...]


def schedule(options: argparse.Namespace) -> int:
    """Make the backup jobs what the inventory says, and read them back."""
    with session.writing(options) as opened:
        found = opened.read()
        opened.fit(found, ("schedule",))
        cluster = opened.whole
        if cluster.backup_schedule and (
            problems := [sentence for guest in cluster.guests for sentence in backups.unsaved(guest, found)]
        ):
            raise ProvisionerError(*problems)
        coming = moments(opened)
        steps = differences(cluster, opened.api.send(calls.backup_jobs()))
        if not options.json:
            _print(cluster, steps, coming)
        if not options.check:
            _carry_out(opened, steps)
        changed = bool(steps) and not options.check
        if options.json:
            data = [asdict(step) | {"call": str(step.call)} for step in steps]
            session.write(json.dumps({"changed": changed, "jobs": data, "next": coming[:1]}, indent=1))
        else:
            session.write_changed(changed)
        return 2 if options.check and steps else 0


def _carry_out(opened: Session, steps: list[Step]) -> None:
    for step in steps:
        opened.api.send(step.call)
    left = differences(opened.whole, opened.api.send(calls.backup_jobs())) if steps else []
    if left:
        raise ProvisionerError(
            f"the cluster took the backup job {left[0].name} and it is not as wanted ({_said(left[0])}): look at it "
            "under Datacenter, Backup, then run again"
        )


def moments(opened: Session) -> list[float]:
    """Return when the inventory's schedule comes next, as the cluster reckons; nothing where it has none."""
    event = opened.whole.backup_schedule
    if event is None:
        return []
    try:
        answer = opened.api.send(calls.moments(event))
    except RefusedError as error:
        place = opened.whole.endpoint.where.get("proxmox_backup_schedule", "proxmox_backup_schedule")
        raise ProvisionerError(
            f"{place}: proxmox_backup_schedule is {event!r}, which the cluster does not understand ({error.reason}): "
            "write it as `01:30`, `sat 03:00` or `mon..fri 22:00`"
        ) from None
    return [float(one["timestamp"]) for one in answer]


def jobs(cluster: Cluster) -> dict[str, dict[str, Value]]:
    """Return the jobs that the inventory wants: name → settings."""
    if cluster.backup_schedule is None:
        return {}
    guests: dict[str, list[int]] = {}
    for guest in cluster.guests:
        if guest.backup_storage:
            guests.setdefault(guest.backup_storage, []).append(guest.vmid)
    return {
        f"{_prefix(cluster)}{_slug(storage, 20)}": {
            "vmid": ",".join(str(vmid) for vmid in sorted(vmids)),
            "storage": storage,
            "schedule": cluster.backup_schedule,
            "prune-backups": cluster.backup_retention,
            "mode": "snapshot",
            "compress": "zstd",
            "enabled": 1,
            # A node that was off at that time backs its guests up when it is back.
            "repeat-missed": 1,
            "notes-template": "{{guestname}}",
            "comment": f"Centralino, inventory {cluster.name}: `python -m proxmox schedule` makes it",
        }
        for storage, vmids in sorted(guests.items())
    }


def differences(cluster: Cluster, there: Iterable[Mapping[str, Any]]) -> list[Step]:
    """Return what is to be done with the jobs that are there, those of this inventory; pure."""
    wanted, prefix = jobs(cluster), _prefix(cluster)
    own = {str(job["id"]): job for job in there if str(job["id"]).startswith(prefix)}
    steps = []
    for name, settings in wanted.items():
        job = own.get(name, {})
        narrowed = [key for key in _NARROWS if job.get(key)] if job else []
        changes = tuple(
            Change(key, _readable(key, job), _readable(key, settings))
            for key in [*settings, *narrowed]
            if not job or _normal(key, job) != _normal(key, settings)
        )
        if not job:
            steps.append(Step("+", name, calls.add_job(name, settings), changes))
        elif changes:
            # The storage comes with it: some settings are refused without one.
            data = {change.key: settings[change.key] for change in changes if change.key in settings}
            gone: dict[str, Value] = {"delete": ",".join(narrowed)} if narrowed else {}
            data |= {"storage": settings["storage"], **gone}
            steps.append(Step("~", name, calls.change_job(name, data), changes))
    return steps + [Step("-", name, calls.remove_job(name), ()) for name in sorted(own.keys() - wanted.keys())]


def drift(cluster: Cluster, there: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each job that is not what the inventory says."""
    kinds = {"+": "does not exist", "-": "is not in the inventory any more"}
    return [
        f"the backup job {step.name} {kinds.get(step.sign) or f'differs from the inventory: {_said(step)}'}: "
        "`python -m proxmox schedule`"
        for step in differences(cluster, there)
    ]


def lines(cluster: Cluster, there: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each of this inventory's jobs, for ``status``."""
    return [
        f"backup job {job['id']}: {job.get('schedule')} to {job.get('storage')}, next {_when(job.get('next-run'))}"
        for job in there
        if str(job["id"]).startswith(_prefix(cluster))
    ]


def _when(seconds: float | None) -> str:
    return "never" if seconds is None else backups.when(float(seconds))


def _prefix(cluster: Cluster) -> str:
    """Return what the names of this inventory's jobs begin with; no other inventory's do, as a slug has no ``_``."""
    return f"centralino_{_slug(cluster.name, 18)}_"


def _slug(name: str, longest: int) -> str:
    """Return a name as a job's may contain it; where that is not the name itself, with a part that only it has."""
    plain = re.sub(r"[^a-z0-9-]", "-", name.lower())
    if plain == name and len(name) <= longest:
        return name
    return f"{plain[: longest - 6]}-{hashlib.sha256(name.encode()).hexdigest()[:5]}"


def _normal(key: str, job: Mapping[str, Any]) -> object:
    """Return a setting in the form that is compared: the cluster reads some back otherwise than they were sent."""
    value = job.get(key, _DEFAULTS.get(key, ""))
    match key:
        case "vmid":
            return frozenset(part for part in re.split(r"[,;\s]+", str(value)) if part)
        case "prune-backups":
            parts = value if isinstance(value, Mapping) else values.properties(str(value))
            return {period: int(count) for period, count in parts.items() if int(count)}
        case "schedule":
            return str(value).split()
    return str(value)


def _readable(key: str, job: Mapping[str, Any]) -> str:
    value = job.get(key, _DEFAULTS.get(key, ""))
    if isinstance(value, Mapping):
        return values.joined({period: str(count) for period, count in value.items()})
    return str(value) or "nothing"


def _said(step: Step) -> str:
    return "; ".join(f"{change.key}: {change.before}, wanted {change.after}" for change in step.changes)


def _print(cluster: Cluster, steps: list[Step], coming: list[float]) -> None:
    if cluster.backup_schedule is None:
        session.write(f"{cluster.name}: proxmox_backup_schedule is not set, no job is wanted")
    else:
        session.write(f"{cluster.name}: backups at {cluster.backup_schedule}, next {_when(next(iter(coming), None))}")
    for step in steps:
        session.write(f"{step.sign} backup job {step.name}")
        for change in step.changes:
            before = f"{change.before} → " if step.sign == "~" else ""
            session.write(f"      {change.key:<14} {before}{change.after}")
