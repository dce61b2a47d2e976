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
    user = call.caller.name.partition("!")[0]
    granted = {grant.path for grant in call.cluster.grants if grant.who in (user, call.caller.name)}
    paths = [call.text("path")] if call.text("path") else sorted({"/", *granted})
    return {path: dict.fromkeys(sorted(auth.privileges(call.cluster, call.caller.name, path)), 1) for path in paths}
