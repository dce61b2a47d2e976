"""Work on several machines side by side, which Ctrl-C and SIGTERM stop.

What the cluster has begun goes on there; nothing that waits its turn is begun any more.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final

from proxmox.api import Api

_MOMENT: Final = 0.2
"""Seconds after which a signal is noticed at the latest."""


def results[Result](api: Api, pool: ThreadPoolExecutor, futures: Sequence[Future[Result]]) -> list[Result]:
    """Return what a pool's works come to, in their order; asked to stop, of those alone that were begun.

    Then :meth:`Api.go_on` raises from here on, which ends every wait of the works as well: left to itself, the pool
    would carry out all that is queued before it lets anybody go.
    """
    try:
        while wait(futures, timeout=_MOMENT).not_done:
            pass
    except KeyboardInterrupt:
        api.stop.set()
        pool.shutdown(cancel_futures=True)
    return [future.result() for future in futures if not future.cancelled()]
