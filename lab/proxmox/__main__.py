"""The stand-in's process: ``python -m lab.proxmox PORT``."""

import logging
import ssl
import sys

from aiohttp import web

from lab import host
from lab.paths import Paths
from lab.podman import Podman
from lab.proxmox import auth, tls
from lab.proxmox.reboots import Reboots
from lab.proxmox.runtime import PodmanRuntime
from lab.proxmox.server import make_app
from lab.proxmox.state import Store

LOOPBACK = "127.0.0.1"


def main(port: int) -> None:
    """Serve until terminated."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    paths = Paths.default()
    store = Store(paths.proxmox / "cluster.json")
    auth.prepare(store.cluster, paths.proxmox)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.prepare(paths.proxmox)
    context.load_cert_chain(paths.proxmox / "server.pem", paths.proxmox / "server.key")
    podman = Podman(host.detect(), paths)
    app = make_app(store, PodmanRuntime(podman, paths))
    app.cleanup_ctx.append(Reboots(podman))
    web.run_app(app, host=LOOPBACK, port=port, ssl_context=context, print=None, access_log=None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
