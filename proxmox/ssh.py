"""Logging in to guests: the key pair, the known host keys, and the wait until a new guest lets us in."""

import os
import socket
import subprocess
import threading
from functools import cache
from typing import Any, Final

from proxmox.desired import Access, Guest
from proxmox.errors import ProvisionerError
from proxmox.inventory import shown

_CONNECT_SECONDS: Final = 5
# cloud-init still makes accounts and runs apt for a moment after sshd answers; 2 is "done, with recoverable errors".
_READY = "if command -v cloud-init >/dev/null; then cloud-init status --wait >/dev/null; test $? -ne 1; fi"
_QUIETLY: Final[dict[str, Any]] = {
    "stdin": subprocess.DEVNULL,
    "capture_output": True,
    "text": True,
    "errors": "replace",
    "env": {**os.environ, "LC_ALL": "C"},  # what it says is looked at
}
_known_hosts_lock = threading.Lock()


class NotYetError(Exception):
    """The guest does not let us in yet; the text says how far we came."""


def ensure_key(access: Access, comment: str) -> bool:
    """Make the key pair (Ed25519) where there is none; return whether it was made."""
    if access.public_key is not None:
        return False
    access.private_key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(access.private_key)],
        "the SSH key pair cannot be made",
    )
    return True


def alias(guest: Guest) -> str | None:
    """Return the name that the host key of a guest is known by; none where it is known by its address."""
    return guest.name if guest.dhcp else None


def forget(guest: Guest) -> None:
    """Forget the host key of a guest that does not exist (any more), so that its successor's is accepted."""
    known_hosts, port = guest.access.known_hosts, guest.access.port
    if not known_hosts.exists():
        return
    name = alias(guest) or (str(guest.address) if port == 22 else f"[{guest.address}]:{port}")  # noqa: PLR2004
    with _known_hosts_lock:
        _run(
            ["ssh-keygen", "-q", "-R", name, "-f", str(known_hosts)], f"the old host key of {name} cannot be forgotten"
        )
        known_hosts.with_name(f"{known_hosts.name}.old").unlink(missing_ok=True)


def command(guest: Guest) -> list[str]:
    """Return the ``ssh`` command that opens the guest, with the same options as Ansible's."""
    access = guest.access
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": str(_CONNECT_SECONDS),
        "IdentitiesOnly": "yes",
        "ControlPath": "none",
        "LogLevel": "ERROR",
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": str(access.known_hosts),
        **({"HostKeyAlias": name} if (name := alias(guest)) else {}),
    }
    return [
        "ssh",
        *access.arguments,
        *(part for key, value in options.items() for part in ("-o", f"{key}={value}")),
        *("-i", str(access.private_key), "-p", str(access.port), "-l", access.user, str(guest.address)),
    ]


def log_in(guest: Guest, seconds: float) -> None:
    """Log in and wait (at most ``seconds``) until cloud-init has finished.

    Raises :class:`NotYetError` where it may still come, :class:`ProvisionerError` where the host key is not the one
    that we know.
    """
    if not proxied(guest):
        _greet(guest)
    guest.access.known_hosts.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        # A session of its own: Ctrl-C reaches the run, which ends orderly, and not ssh.
        done = subprocess.run(  # noqa: S603
            [*command(guest), _READY], **_QUIETLY, timeout=max(seconds, 10), check=False, start_new_session=True
        )
    except subprocess.TimeoutExpired:
        raise NotYetError("cloud-init has not finished") from None
    if done.returncode == 0:
        return
    said = " ".join(done.stderr.split())
    if "IDENTIFICATION HAS CHANGED" in said or "Host key verification failed" in said:
        known = shown(guest.access.known_hosts)
        raise ProvisionerError(
            f"{guest.name}: the host key of {guest.address} is not the one in {known}, though this run did not make "
            f"the guest anew: find out why; if it is right, `ssh-keygen -R {alias(guest) or guest.address} -f {known}`"
        )
    raise NotYetError(said[-200:] or f"the log-in ended with code {done.returncode}")


def proxied(guest: Guest) -> bool:
    """Tell whether a guest is reached through another host, so that its ports cannot be asked from here.

    The inventory may say so, or what ``ssh`` is configured with on this machine (ssh_config(5)).
    """
    return _goes_through_another(tuple(command(guest)))


@cache
def _goes_through_another(command: tuple[str, ...]) -> bool:
    ssh, *arguments = command
    try:
        done = subprocess.run([ssh, "-G", *arguments], **_QUIETLY, timeout=30, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False  # the log-in tells
    words = (line.split(" ") for line in done.stdout.splitlines())
    return any(key in {"proxyjump", "proxycommand"} and rest != ["none"] for key, *rest in words)


def _greet(guest: Guest) -> None:
    """Ask the port for sshd's banner: much cheaper than a log-in while the guest still boots."""
    try:
        with socket.create_connection((str(guest.address), guest.access.port), timeout=_CONNECT_SECONDS) as connection:
            connection.settimeout(_CONNECT_SECONDS)
            banner = connection.recv(64)
    except OSError as error:
        raise NotYetError(f"port {guest.access.port} does not answer ({error.strerror or error})") from None
    if not banner.startswith(b"SSH-"):
        raise NotYetError(f"port {guest.access.port} answers, but not as SSH")


def _run(arguments: list[str], failure: str) -> None:
    try:
        done = subprocess.run(arguments, **_QUIETLY, timeout=30, check=False)  # noqa: S603
    except FileNotFoundError:
        raise ProvisionerError(
            f"{failure}: {arguments[0]} is not installed (Debian's package openssh-client)"
        ) from None
    if done.returncode != 0:
        raise ProvisionerError(f"{failure}: {' '.join(done.stderr.split())}")
