"""Tells systemd how the service is (sd_notify(3)); does nothing where no systemd listens."""

import os
import socket
import time


def notify(state: str) -> None:
    """Send ``READY=1`` and the like, one assignment a line."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    # A leading @ stands for Linux's abstract namespace.
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        connection.connect(address)
        connection.sendall(state.encode())


def reloading() -> None:
    """Tell that a reload begins (``Type=notify-reload``); ``READY=1`` ends it."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def watchdog_interval() -> float | None:
    """Return after how many seconds to tell systemd that we live: half of its patience; None where it does not ask."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    return int(usec) / 2_000_000 if usec.isdigit() and usec != "0" else None
