"""/cluster/ha: what high availability manages, its rules and its state."""

import time
from typing import Any

from lab.proxmox.api.call import Call, method
from lab.proxmox.errors import ApiError
from lab.proxmox.state import Config


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


@method("PUT", "/cluster/ha/resources/{sid}")
async def change_ha_resource(call: Call) -> None:
    """Change what HA shall do with a guest."""
    sid = _sid(call.text("sid"))
    if sid not in call.cluster.ha:
        raise ApiError(500, f"no such resource '{sid}'")
    call.cluster.ha[sid] |= {
        key: value for key, value in call.parameters.items() if key != "sid" and not isinstance(value, list)
    }
    call.store.save()


@method("DELETE", "/cluster/ha/resources/{sid}")
async def remove_ha_resource(call: Call) -> None:
    """Take a guest out of HA, and with ``purge`` (so by default) out of HA's rules; it goes on as it is."""
    sid = _sid(call.text("sid"))
    if call.cluster.ha.pop(sid, None) is None:
        raise ApiError(500, f"cannot delete service '{sid}', not HA managed!")
    for name, rule in list(call.cluster.rules.items()) if call.flag("purge", default=True) else ():
        left = [one for one in str(rule["resources"]).split(",") if one != sid]
        rule["resources"] = ",".join(left)
        if not left:
            del call.cluster.rules[name]
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
        raise ApiError(500, f"create ha rule failed: HA rule '{name}' already defined")
    _write_rule(call, name, {}, "create ha rule failed")


@method("PUT", "/cluster/ha/rules/{rule}")
async def change_ha_rule(call: Call) -> None:
    """Change a rule; what is not named stays."""
    name = call.text("rule")
    if name not in call.cluster.rules:
        raise ApiError(500, f"update HA rules failed: HA rule '{name}' does not exist")
    _write_rule(call, name, call.cluster.rules[name], "update HA rules failed")


def _write_rule(call: Call, name: str, before: Config, failed: str) -> None:
    """Check and keep a rule. The sentences are those of PVE::API2::HA::Rules and PVE::HA::Rules::NodeAffinity."""
    settings = {key: value for key, value in call.parameters.items() if not isinstance(value, list)}
    rule: Config = before | {key: value for key, value in settings.items() if key not in ("rule", "digest")}
    named = _guests(rule)
    if unmanaged := sorted(named - call.cluster.ha.keys()):
        raise ApiError(500, f"{failed}: cannot use unmanaged resource(s) {', '.join(unmanaged)}.")
    for other, entry in call.cluster.rules.items():
        both = {one["type"] for one in (rule, entry)} == {"node-affinity"}
        if other != name and both and not rule.get("disable") and not entry.get("disable"):
            for sid in sorted(named & _guests(entry)):
                fault = f"resource '{sid}' is already used in another node affinity rule"
                raise ApiError(500, f"{failed}: 400 Rule '{name}' is invalid. resources: {fault}")
    call.cluster.rules[name] = rule
    call.store.save()


def _guests(rule: Config) -> set[str]:
    return {_sid(one.strip()) for one in str(rule["resources"]).replace(";", ",").split(",")}


@method("DELETE", "/cluster/ha/rules/{rule}")
async def remove_ha_rule(call: Call) -> None:
    """Remove a rule; one that is not there is no fault."""
    call.cluster.rules.pop(call.text("rule"), None)
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
