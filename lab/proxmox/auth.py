"""Who asks, and whether they may: API tokens, tickets, roles and the permissions that the schema names."""

import hashlib
import hmac
import json
import os
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from lab.proxmox.errors import ApiError
from lab.proxmox.schema import Method
from lab.proxmox.state import Cluster, Grant

ROOT = "root@pam"
USER = "automation@pve"
TOKEN = f"{USER}!centralino"
ROLE = "Centralino"
ARRIVALS = "CentralinoArrivals"
"""What the token of a cluster needs besides while guests of another one come to it."""
SCHEDULES = "CentralinoSchedule"
"""What it needs besides to write the cluster's backup jobs."""
TICKET_SECONDS = 7200
"""A ticket's life, as on a node."""

PRIVILEGES: dict[str, frozenset[str]] = {
    ROLE: frozenset(
        {
            "Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit", "SDN.Use",
            "Sys.AccessNetwork", "Sys.Audit", "Sys.Console", "VM.Allocate", "VM.Audit",
            "VM.Backup", "VM.Clone", "VM.Config.CPU",
            "VM.Config.Disk", "VM.Config.HWType", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options",
            "VM.GuestAgent.Audit", "VM.Migrate", "VM.PowerMgmt",
        }
    ),
    ARRIVALS: frozenset({"Sys.Incoming", "VM.Config.CDROM", "VM.Config.Cloudinit"}),
    SCHEDULES: frozenset({"Datastore.Allocate", "Sys.Modify"}),
    "PVEAuditor": frozenset(
        {"Datastore.Audit", "Pool.Audit", "SDN.Audit", "Sys.Audit", "VM.Audit", "VM.GuestAgent.Audit"}
    ),
}  # fmt: skip
"""Roles. ``Centralino`` is what the provisioner needs on a real cluster too, and no more."""


@dataclass(frozen=True)
class Caller:
    """Who sent a request."""

    name: str
    """``user@realm`` or ``user@realm!token``."""
    by_ticket: bool = False


def digest(secret: str) -> str:
    """Return what is stored of a secret; secrets here are random and long, so one round serves."""
    return hashlib.sha256(secret.encode()).hexdigest()


def prepare(cluster: Cluster, folder: Path) -> None:
    """Make the users, the token and their files where they are not there yet.

    ``token.json`` holds ``{"id", "secret"}``, ``root.json`` ``{"username", "password"}``; private to their owner.
    """
    cluster.ticket_key = cluster.ticket_key or secrets.token_hex(32)
    token, root = folder / "token.json", folder / "root.json"
    if TOKEN not in cluster.secrets or not token.is_file():
        secret = str(uuid.uuid4())
        cluster.secrets[TOKEN] = digest(secret)
        _write_private(token, {"id": TOKEN, "secret": secret})
    if ROOT not in cluster.secrets or not root.is_file():
        password = secrets.token_urlsafe(24)
        cluster.secrets[ROOT] = digest(password)
        _write_private(root, {"username": ROOT, "password": password})
    # A token with privilege separation has the intersection of its own and its user's rights: both are granted.
    for grant in (Grant("/", who, role) for who in (USER, TOKEN) for role in (ROLE, SCHEDULES)):
        if grant not in cluster.grants:
            cluster.grants.append(grant)


def authenticate(cluster: Cluster, headers: Mapping[str, str], cookies: Mapping[str, str], verb: str) -> Caller:
    """Return who sent a request. Raises :class:`ApiError` 401."""
    authorization = headers.get("Authorization", "")
    if authorization.startswith("PVEAPIToken="):
        return _by_token(cluster, authorization.removeprefix("PVEAPIToken="))
    ticket = unquote(cookies.get("PVEAuthCookie", ""))
    if not ticket:
        raise ApiError(401, "No ticket")
    caller = Caller(_open_ticket(cluster, ticket), by_ticket=True)
    if verb != "GET" and not hmac.compare_digest(
        headers.get("CSRFPreventionToken", ""), csrf_token(cluster, caller.name)
    ):
        raise ApiError(401, "Permission denied - invalid csrf token")
    return caller


def _by_token(cluster: Cluster, value: str) -> Caller:
    name, _, secret = value.partition("=")
    if "!" not in name:
        raise ApiError(401, "invalid token value!")
    if name not in cluster.secrets:
        raise ApiError(401, f"no such token '{name.rpartition('!')[2]}' for user '{name.partition('!')[0]}'")
    if not hmac.compare_digest(cluster.secrets[name], digest(secret)):
        raise ApiError(401, "invalid token value!")
    return Caller(name)


def log_in(cluster: Cluster, username: str, password: str, realm: str = "") -> dict[str, Any]:
    """Return a ticket and its CSRF token for a user. Raises :class:`ApiError` 401."""
    name = username if "@" in username else f"{username}@{realm or 'pam'}"
    known = cluster.secrets.get(name, "")
    if "!" in name or not hmac.compare_digest(known, digest(password)):
        raise ApiError(401, "authentication failure")
    stamp = f"{int(time.time()):08X}"
    ticket = f"PVE:{name}:{stamp}::{_sign(cluster, f'PVE:{name}:{stamp}')}"
    return {"username": name, "ticket": ticket, "CSRFPreventionToken": csrf_token(cluster, name), "clustername": "lab"}


def csrf_token(cluster: Cluster, user: str) -> str:
    """Return the token that a write by ticket has to carry."""
    return f"{user}:{_sign(cluster, f'CSRF:{user}')}"


def _open_ticket(cluster: Cluster, ticket: str) -> str:
    head, _, signature = ticket.partition("::")
    kind, _, rest = head.partition(":")
    name, _, stamp = rest.rpartition(":")
    if kind != "PVE" or not hmac.compare_digest(signature, _sign(cluster, head)):
        raise ApiError(401, "permission denied - invalid PVE ticket")
    if not 0 <= time.time() - int(stamp, 16) < TICKET_SECONDS:
        raise ApiError(401, "permission denied - invalid PVE ticket")
    return name


def _sign(cluster: Cluster, text: str) -> str:
    return hmac.new(cluster.ticket_key.encode(), text.encode(), "sha256").hexdigest()


def _write_private(file: Path, content: dict[str, str]) -> None:
    new = file.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
        json.dump(content, output)
    new.replace(file)


# --- permissions -----------------------------------------------------------------------------------------------------


def privileges(cluster: Cluster, who: str, path: str) -> frozenset[str]:
    """Return the privileges on a path: the most specific grant counts, a token has no more than its user."""
    if who == ROOT:
        return frozenset().union(*PRIVILEGES.values(), {"*"})
    fitting = [grant for grant in cluster.grants if grant.who == who and _above(grant.path, path)]
    deepest = max((len(grant.path) for grant in fitting), default=0)
    own = frozenset[str]().union(*(PRIVILEGES[grant.role] for grant in fitting if len(grant.path) == deepest))
    user, separator, _ = who.partition("!")
    return own & privileges(cluster, user, path) if separator else own


def _above(granted: str, path: str) -> bool:
    return granted in ("/", path) or path.startswith(granted + "/")


def authorise(cluster: Cluster, caller: Caller, method: Method, parameters: Mapping[str, Any]) -> None:
    """Refuse with 403 what the schema's permissions do not allow the caller."""
    if "!" in caller.name and not method.allow_token:
        raise ApiError(403, "Permission check failed (API tokens are not allowed here)")
    rule = method.permissions.get("check")
    if caller.name == ROOT or method.permissions.get("user") in ("all", "world"):
        return
    if rule is None:
        raise ApiError(403, "Permission check failed (user != root@pam)")
    if fault := _fault(cluster, caller.name, rule, parameters):
        raise ApiError(403, f"Permission check failed ({fault})")


def _fault(cluster: Cluster, who: str, rule: list[Any], parameters: Mapping[str, Any]) -> str:
    """Return the empty string where the rule holds, and what is missing where it does not."""
    kind, *rest = rule
    if kind in ("and", "or"):
        faults = [_fault(cluster, who, part, parameters) for part in rest]
        missing = [fault for fault in faults if fault]
        held = not missing if kind == "and" else len(missing) < len(faults)
        return "" if held else missing[0]
    if kind != "perm":
        return f"{kind}: not granted to {who}"
    template, wanted, *options = rest
    settings = dict(zip(options[::2], options[1::2], strict=True))
    if "require_param" in settings and settings["require_param"] not in parameters:
        return "" if settings["require_param"] == "" else f"{template} needs {settings['require_param']}"
    path = template
    for name, value in parameters.items():
        path = path.replace(f"{{{name}}}", str(value))
    had = privileges(cluster, who, path)
    lacking = [privilege for privilege in wanted if privilege not in had]
    held = len(lacking) < len(wanted) if settings.get("any") else not lacking
    return "" if held else f"{path}, {'|'.join(wanted) if settings.get('any') else lacking[0]}"
