"""Proof that a node is off: an isolated one may still run its guests, and nothing is begun without it."""

import argparse

from proxmox import hooks, session
from proxmox.errors import ProvisionerError
from proxmox.inventory import shown
from proxmox.session import Session


def prove_off(opened: Session, options: argparse.Namespace) -> None:
    """Demand proof that a node is off: the inventory's hook, or the operator's word."""
    node = options.node
    if options.it_is_off:
        session.say(f"operator's word: {node} is off")
        return
    hook = opened.whole.fence_hook
    if hook is None:
        raise ProvisionerError(
            f"nobody has proved that {node} is off, and an isolated one may still run its guests: take its power, then "
            "say --it-is-off; or set proxmox_fence_hook to a program that proves it"
        )
    try:
        said = hooks.run(hook, node)
    except hooks.BrokenHookError as error:
        raise ProvisionerError(f"proxmox_fence_hook: {shown(hook)}: {error}: correct it, or say --it-is-off") from None
    if said:
        raise ProvisionerError(
            f"{shown(hook)} does not prove that {node} is off ({said}): take its power, then run again"
        )
    session.say(f"{shown(hook)}: {node} is off")
