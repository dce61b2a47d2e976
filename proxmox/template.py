"""The command ``template``: the golden templates, each a version of its own, and the removal of old ones."""

import argparse
import json
from typing import Any

from proxmox import apply, calls, plan, preflight, session, show, state
from proxmox.errors import ProvisionerError, TaskFailedError
from proxmox.session import Session
from proxmox.state import Machine, State


def template(options: argparse.Namespace) -> int:
    """Make what is missing, list all versions, and with ``--prune`` remove those that nothing needs."""
    with session.writing(options) as opened:
        found = opened.read()
        opened.fit(found)
        if problems := preflight.template_problems(opened.whole, found):
            raise ProvisionerError(*problems)
        works = [work for work in plan.build(opened.whole, found).works if work.template and work.steps]
        changed = bool(works) and not options.check
        if changed:
            _make(opened, found)
            found = opened.read()
        rows = [_row(opened, machine) for machine in _golden(opened, found)]
        if options.prune:
            for row in rows:
                if not row["wanted"]:
                    row["removed"] = "would be" if options.check else _prune(opened, row)
                    changed |= row["removed"] == "yes"
        return _end(options, rows, changed=changed, to_do=bool(works) or any("removed" in row for row in rows))


def _make(opened: Session, found: State) -> None:
    whole = opened.whole
    with show.Lines([one.name for one in whole.templates]) as lines:
        outcomes = apply.templates(opened.api, whole, found, lines)
    if errors := [sentence for one in outcomes if one.error for sentence in one.error.sentences]:
        raise ProvisionerError(*errors)


def _golden(opened: Session, found: State) -> list[Machine]:
    """Return all golden templates with their configuration, whatever inventory made them."""
    golden = [one for one in found.machines.values() if one.template and {"centralino", "template"} <= one.tags]
    whole = [one if one.config else state.find(opened.api.send, one.vmid, one.node) for one in golden]
    return sorted((one for one in whole if one), key=lambda one: one.vmid)


def _row(opened: Session, machine: Machine) -> dict[str, Any]:
    return {
        "name": machine.name,
        "vmid": machine.vmid,
        "node": machine.node,
        "made_from": plan.made_from(machine) or "unknown",
        "wanted": any(one.vmid == machine.vmid for one in opened.whole.templates),
    }


def _prune(opened: Session, row: dict[str, Any]) -> str:
    """Remove a template. The cluster itself refuses where a linked clone stands on its disk."""
    answer = opened.api.send(calls.destroy(row["node"], row["vmid"]))
    try:
        opened.api.wait(str(answer), 1800, f"template {row['vmid']}: removing")
    except TaskFailedError as error:
        if "in use" not in error.exit_status:
            raise
        return "kept: a linked clone stands on it"
    if state.place(opened.api.send, row["vmid"]) is not None:
        raise ProvisionerError(f"template {row['vmid']}: removed and still there: see the task log of {row['node']}")
    return "yes"


def _end(options: argparse.Namespace, rows: list[dict[str, Any]], *, changed: bool, to_do: bool) -> int:
    if options.json:
        session.write(json.dumps({"changed": changed, "templates": rows}, indent=1))
    else:
        for row in rows:
            use = "in the inventory" if row["wanted"] else f"removed: {row['removed']}" if "removed" in row else "old"
            session.write(f"{row['name']} ({row['vmid']} on {row['node']}): {use}; made from {row['made_from']}")
        session.write_changed(changed)
    return 2 if options.check and to_do else 0
