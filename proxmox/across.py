"""Guests go to another Proxmox cluster, as they run (``remote_migrate``); each is in one of the two at any time.

The original goes with the move (``delete``): left behind, it would be a second, stale copy of a telephone exchange that
only root can unlock, and in the way of bringing the guest back. HA takes no part in such a move: a managed guest is
``ignored`` by the old cluster meanwhile (ha-manager(1): requests then bypass HA), which also tells a later run that the
new cluster has to manage it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from proxmox import calls, converge, plan, preflight, relocation, session, spare, state, values
from proxmox.api import Api
from proxmox.converge import Report, Subject
from proxmox.desired import Guest
from proxmox.errors import ProvisionerError, RefusedError, TaskFailedError
from proxmox.relocation import Step
from proxmox.session import Session
from proxmox.state import Machine

_IGNORED = "ignored"
_CLEANING_LOOKS = 20
"""How often, a second apart, it is looked whether a move that failed has left nothing in the new cluster."""


class Across:
    """The way from the cluster of one inventory to that of another."""

    def __init__(self, new: Session, old: Session) -> None:
        self._new, self._old = new, old
        self._here, self._there = old.read(), new.read()
        self._origins = {guest.name: guest for guest in old.whole.guests}
        self._remotes: dict[str, str] = {}

    def fit(self) -> None:
        """Refuse clusters without a quorum and tokens without the rights; the way back needs the same ones."""
        self._new.fit(self._there, ("migrate", "arrive"))
        self._old.fit(self._here, ("migrate", "arrive"))

    def steps(self) -> tuple[Step, ...]:
        """Return a step for each guest of the new inventory; refuse where it is not clear which machine it is."""
        guests = relocation.sequence(self._new.cluster.guests)
        problems = [sentence for guest in guests for sentence in self._unclear(guest)]
        if problems:
            raise ProvisionerError(*problems)
        if staying := sorted(self._origins.keys() - {guest.name for guest in self._new.whole.guests}):
            session.say(f"note: not in {self._new.options.inventory} and left where they are: {', '.join(staying)}")
        return tuple(self._step(guest) for guest in guests)

    def _unclear(self, guest: Guest) -> Iterator[str]:
        origin = self._origins.get(guest.name)
        if origin is None:
            there = ", ".join(sorted(self._origins))
            yield f"{guest.name} is no guest of {self._old.options.inventory} (it has {there}): `--limit` leaves it out"
            return
        if strange := [*preflight.identity(origin, self._here), *preflight.identity(guest, self._there)]:
            yield from strange
            return
        old, new = self._here.machines.get(origin.vmid), self._there.machines.get(guest.vmid)
        if new is not None and new.lock:
            yield (
                f"{guest.name}: {new.vmid} on {new.node} of the new cluster is locked ({new.lock}): wait for its task; "
                f"if none works on it, `qm unlock {new.vmid} && qm destroy {new.vmid}` on that node, then run again"
            )
        elif old is None and new is None:
            yield f"{guest.name} is on neither cluster: make it with `python -m proxmox apply --limit {guest.name}`"
        elif old is not None and new is not None and not _left_behind(old):
            yield (
                f"{guest.name} is on both clusters ({old.vmid} on {old.node}, {new.vmid} on {new.node}): find out "
                "which one serves, and remove the other"
            )

    def _step(self, guest: Guest) -> Step:
        origin = self._origins[guest.name]
        old, new = self._here.machines.get(origin.vmid), self._there.machines.get(guest.vmid)
        at = new or old
        return Step(guest, origin.vmid, at.node if at else "", there=new is not None)

    def problems(self, todo: Sequence[Step]) -> list[str]:
        """Return what cannot be moved so, what the new cluster lacks, and what would be promised twice there."""
        machines = self._here.machines
        found = relocation.stopped(todo, machines)
        replicated = {int(job["guest"]) for job in self._old.api.send(calls.replication_jobs())} if todo else set()
        coming = []
        for step in todo:
            guest, origin, machine = step.guest, self._origins[step.name], machines[step.vmid]
            if step.vmid in replicated:
                found.append(
                    f"{step.name}: a replication job copies {step.vmid}, and such a guest cannot go to another "
                    "cluster: remove the job (Datacenter, Replication), and make one in the new place afterwards"
                )
            if machine.lock:
                found.append(
                    f"{step.name}: {step.vmid} on {machine.node} is locked ({machine.lock}): wait, then run again"
                )
            if guest.address != origin.address:
                found.append(
                    f"{guest.where['ansible_host']}: ansible_host of {step.name} is {guest.address} and it has "
                    f"{origin.address}: guests keep their addresses on the way, change it afterwards"
                )
            card = values.card(str(machine.config.get("net0", ""))).get("macaddr", guest.mac)
            coming.append((replace(guest, mac=card), machine))
        found += preflight.arrivals(self._there, coming)
        if not found and todo and not self._new.options.overcommit:
            found = spare.risks(self._new.whole, self._there)
        if not found:
            self._remotes = self._reach({step.guest.node for step in todo})
        return found

    def _reach(self, nodes: set[str]) -> dict[str, str]:
        """Return how the old cluster reaches each node of the new one: at its own address, where a guest arrives."""
        end, found = self._new.whole.endpoint, {}
        entries = self._new.api.send(calls.cluster_status())
        addresses = {
            str(entry["name"]): str(entry.get("ip") or end.host) for entry in entries if entry["type"] == "node"
        }
        for node in sorted(nodes):
            prints = {
                str(one.get("filename")): one.get("fingerprint") for one in self._new.api.send(calls.certificates(node))
            }
            fingerprint = prints.get("pveproxy-ssl.pem") or prints.get("pve-ssl.pem")
            if not fingerprint:
                raise ProvisionerError(f"node {node} tells no certificate of its API: see `pvecm updatecerts` there")
            token = f"{end.token_id}={end.token_secret}"
            found[node] = values.remote(addresses.get(node, end.host), end.port, token, str(fingerprint))
        return found

    def seen(self, step: Step, *, moved: bool) -> tuple[Api, Guest]:
        """Return the API of the cluster that a guest is on, and the guest with its number there."""
        return (self._new.api, step.guest) if moved else (self._old.api, replace(step.guest, vmid=step.vmid))

    def carry(self, step: Step, report: Report) -> None:
        """Bring a guest over and read back that it runs there."""
        api, guest = self._old.api, step.guest
        wanted = self._here.ha.get(step.vmid)
        if wanted not in {None, _IGNORED}:
            report(step.name, "taking it out of HA's hands")
            api.send(calls.set_ha(step.vmid, _IGNORED))
        report(step.name, f"going over to {guest.node}")
        settings: Mapping[str, calls.Value] = {
            "target-storage": guest.storage,
            "target-bridge": guest.bridge,
            "online": 1,
        }
        remote = self._remotes[guest.node]
        try:
            upid = str(api.send(calls.remote_migrate(step.source, step.vmid, remote, guest.vmid, settings)))
            api.wait(upid, guest.task_timeout, f"{step.name}: going over to {guest.node}")
        except (RefusedError, TaskFailedError) as error:
            raise ProvisionerError(f"{error}; {self._after_failure(step, wanted)}") from None
        machine = converge.look(self._new.api, guest.vmid, guest.node)
        if machine is None or machine.lock or not machine.running or machine.node != guest.node:
            there = "it is not there" if machine is None else f"it is on {machine.node}, and locked or stopped"
            raise ProvisionerError(
                f"{step.name}: its move to {guest.node} ended well and {there}: see the task logs of {step.vmid} on "
                f"{step.source} (qmigrate) and of {guest.vmid} on {guest.node} (qmtunnel), then run again"
            )
        original = converge.look(api, step.vmid, step.source)
        if original is not None and not _left_behind(original):
            raise ProvisionerError(
                f"{step.name}: it runs on {guest.node}, and its original {step.vmid} on {original.node} is not gone: "
                "see the task log there (qmigrate), stop the original if it runs, and remove it"
            )

    def _after_failure(self, step: Step, wanted: str | None) -> str:
        """Return where a guest is whose move failed. HA gets it back only where it runs as before, and there alone.

        A move may fail after the new machine took over: HA would then bring the old one to life beside it.
        """
        original = converge.look(self._old.api, step.vmid, step.source)
        for _ in range(_CLEANING_LOOKS):  # the other end removes what it began
            there = converge.place(self._new.api, step.guest.vmid)
            if there is None:
                break
            self._new.api.pause(1.0)
        if original is not None and original.running and there is None:
            if wanted is not None:
                self._old.api.send(calls.set_ha(step.vmid, "started" if wanted == _IGNORED else wanted))
            return f"{step.name} runs on {step.source} as before"
        fate = "is gone" if original is None else "runs" if original.running else "is stopped"
        return (
            f"its original {step.vmid} on {step.source} {fate}, and {step.guest.vmid} is "
            f"{f'on {there}' if there else 'not'} in the new cluster; HA was left out of it: find out which one "
            "serves, remove the other, then run again"
        )

    def finish(self, step: Step, report: Report) -> bool:
        """Put a guest under the new cluster's HA where the old one's had it, and make it as the inventory wants."""
        guest, old, new = step.guest, self._old.api, self._new.api
        before, now = (state.managed(api.send(calls.ha_resources())) for api in (old, new))
        changed = step.vmid in before or now.get(guest.vmid) == _IGNORED
        if changed and guest.vmid not in now:
            report(step.name, "giving it to HA")
            new.send(calls.join_ha(guest.vmid, "started"))
        elif changed and now[guest.vmid] != "started":  # it was brought back, or a run was cut off
            new.send(calls.set_ha(guest.vmid, "started"))
        if step.vmid in before:
            old.send(calls.leave_ha(step.vmid))
        subject = Subject(step.name, guest.vmid, guest.node, guest.task_timeout, frozenset({str(guest.vmid)}))

        def steps(found: Machine | None) -> tuple[plan.Step, ...]:
            if found is None:
                raise ProvisionerError(f"{step.name}: {guest.vmid} was removed from the new cluster just now")
            return plan.guest_steps(guest, found)

        machine = converge.look(new, guest.vmid, guest.node)
        adapted, _ = converge.converge(new, subject, machine, steps, report=report)
        rest = converge.place(old, step.vmid)
        if rest is not None:
            session.say(f"note: `qm unlock {step.vmid} && qm destroy {step.vmid}` on {rest} removes what is left there")
        return changed or adapted

    def back(self, step: Step) -> str:
        """Return the command that brings a guest back."""
        return (
            f"python -m proxmox relocate --limit {step.name} -i {self._old.options.inventory} "
            f"--from {self._new.options.inventory}"
        )


def _left_behind(machine: Machine) -> bool:
    """Tell whether a machine is what a move leaves that could not remove it: stopped, and locked for good."""
    return machine.lock == "migrate" and not machine.running
