"""Reboots from inside: a guest that reboots itself is started again, as a virtual machine comes back by itself."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator

from aiohttp import web

from lab.errors import LabError
from lab.podman import GUEST_LABEL, Podman

REBOOT_STATUS = 133
"""What systemd ends with in a guest that reboots (the image sets it for systemd-reboot.service); a power-off is 0."""

log = logging.getLogger(__name__)


class Reboots:
    """Follows podman's events as long as the stand-in runs; costs nothing while none come."""

    def __init__(self, podman: Podman) -> None:
        self._podman = podman

    async def __call__(self, app: web.Application) -> AsyncIterator[None]:
        """Run beside the application (aiohttp's ``cleanup_ctx``)."""
        del app
        following = asyncio.create_task(self._follow())
        yield
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following

    async def _follow(self) -> None:
        filters = ["--filter", "event=died", "--filter", f"label={self._podman.label}"]
        while True:
            command = self._podman.command(["events", "--format", "json", *filters])
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                if process.stdout:
                    async for line in process.stdout:
                        await self._notice(line)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            await asyncio.sleep(1)  # the stream ended by itself: podman was updated, or its log rotated

    async def _notice(self, line: bytes) -> None:
        event = json.loads(line)
        rebooted = event.get("ContainerExitCode") == REBOOT_STATUS and GUEST_LABEL in event.get("Attributes", {})
        if rebooted:
            log.info("%s reboots", event["Name"])
            try:
                await asyncio.to_thread(self._podman, "start", event["Name"])
            except LabError as error:
                log.warning("%s does not come back from its reboot: %s", event["Name"], error)
