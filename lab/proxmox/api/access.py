"""/access: tickets and permissions."""

from typing import Any

from lab.proxmox import auth
from lab.proxmox.api.call import Call, method


@method("POST", "/access/ticket")
async def create_ticket(call: Call) -> dict[str, Any]:
    """Log a user in."""
    return auth.log_in(call.cluster, call.text("username"), call.text("password"), call.text("realm"))


@method("GET", "/access/permissions")
async def permissions(call: Call) -> dict[str, dict[str, int]]:
    """Tell what the caller may do where."""
    path = call.text("path") or "/"
    return {path: dict.fromkeys(sorted(auth.privileges(call.cluster, call.caller.name, path)), 1)}
