"""Messages to systemd (sd_notify(3)): ready, alive, what it is doing."""

import os
import socket


def notify(*assignments: str) -> None:
    """Send assignments such as ``READY=1``; without systemd this does nothing."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        # an address that begins with @ is an abstract one
        connection.connect("\0" + address[1:] if address.startswith("@") else address)
        connection.send("\n".join(assignments).encode())


def alive(status: str) -> None:
    """Feed the watchdog and tell ``systemctl status`` what is going on."""
    notify("WATCHDOG=1", f"STATUS={status}")
