"""The Proxmox stand-in as a background process: started, found, stopped."""

import hashlib
import http.client
import json
import os
import ssl
import sys
from pathlib import Path
from typing import Any, Literal

from lab.errors import LabError
from lab.paths import CHECKOUT, Paths
from lab.process import end, exclusively, last_words, read_pid, start_detached, wait_until
from lab.proxmox.layout import NODES

DEFAULT_PORT = 8006
PORT_VARIABLE = "CENTRALINO_LAB_PORT"
HOST = "127.0.0.1"


def port() -> int:
    """Return the port that the stand-in listens on."""
    text = os.environ.get(PORT_VARIABLE, str(DEFAULT_PORT))
    if not text.isdigit() or not 0 < int(text) < 65536:  # noqa: PLR2004 (the largest port)
        raise LabError(f"{PORT_VARIABLE} is {text!r}: it takes a port number")
    return int(text)


def running(paths: Paths) -> int | None:
    """Return the stand-in's process id, where it runs."""
    return read_pid(_pid_file(paths), runs="lab.proxmox")


def ensure(paths: Paths) -> bool:
    """Start the stand-in where it does not run, or runs from other code than this; tell whether it was started.

    Raises :class:`LabError` where the port is taken.
    """
    with exclusively(paths.state / "proxmox.lock"):
        code = _code()
        version = paths.proxmox / "version"
        if running(paths) and answers(paths) and version.is_file() and version.read_text() == code:
            return False
        if pid := running(paths):
            end(pid)
        if holder := who_listens(port()):
            raise LabError(
                f"port {port()} on {HOST} is taken by {holder}: end it, or choose another with {PORT_VARIABLE}"
            )
        paths.proxmox.mkdir(parents=True, exist_ok=True)
        log = paths.proxmox / "log"
        environment = {"PYTHONPATH": str(CHECKOUT), "CENTRALINO_LAB_STATE": str(paths.state)}
        pid = start_detached([sys.executable, "-m", "lab.proxmox", str(port())], log=log, environment=environment)
        _pid_file(paths).write_text(f"{pid}\n")
        version.write_text(code)
        if not wait_until(lambda: answers(paths) or not running(paths), seconds=15) or not running(paths):
            raise LabError(f"the Proxmox stand-in did not start: {last_words(log.read_text())} ({log})")
        return True


def stop(paths: Paths) -> None:
    """End the stand-in; its state stays."""
    with exclusively(paths.state / "proxmox.lock"):
        if pid := running(paths):
            end(pid)
        _pid_file(paths).unlink(missing_ok=True)


def answers(paths: Paths) -> bool:
    """Tell whether the API answers with the certificate of this lab."""
    try:
        connection = _connection(paths, timeout=2)
        connection.request("GET", "/api2/json/version")
        return connection.getresponse().status == http.HTTPStatus.UNAUTHORIZED
    except OSError:
        return False


def switch(paths: Paths, node: str, power: Literal["lost", "back"]) -> list[str]:
    """Take a node's power away, which stops its guests' containers, or give it back; return the nodes without power.

    Raises :class:`LabError` where the stand-in does not run or has no such node.
    """
    return [str(name) for name in _order(paths, node, power)]


def take(paths: Paths, node: str, vmid: int) -> None:
    """Make a dead node's guest another node's, stopped, as root does by ``mv`` below /etc/pve/nodes.

    Raises :class:`LabError` where the stand-in does not run or it cannot be.
    """
    _order(paths, node, f"take/{vmid}")


def _order(paths: Paths, node: str, what: str) -> Any:  # noqa: ANN401 (any JSON)
    """Have the stand-in do what no API of Proxmox does; return its answer."""
    try:
        token = json.loads((paths.proxmox / "token.json").read_text())
        connection = _connection(paths, timeout=60)
        header = {"Authorization": f"PVEAPIToken={token['id']}={token['secret']}"}
        connection.request("POST", f"/lab/nodes/{node}/{what}", headers=header)
        answer = connection.getresponse()
        told = json.loads(answer.read())
    except OSError as error:
        raise LabError(f"the Proxmox stand-in does not answer: `python -m lab up` starts it ({error})") from error
    if answer.status != http.HTTPStatus.OK:
        raise LabError(f"{node}: {str(told['message']).strip()}: the nodes are {', '.join(NODES)}")
    return told["data"]


def _connection(paths: Paths, *, timeout: float) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=paths.proxmox / "ca.pem")
    return http.client.HTTPSConnection(HOST, port(), timeout=timeout, context=context)


def who_listens(number: int) -> str:
    """Return which process listens on a TCP port of loopback or of every address; the empty string where none does.

    Reads the kernel's tables, proc_net_tcp(5): state 0A is LISTEN.
    """
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == number:
                sockets.add(f"socket:[{fields[9]}]")
    if not sockets:
        return ""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if any(str(link.readlink()) in sockets for link in (folder / "fd").iterdir()):
                    return f"{(folder / 'comm').read_text().strip()} (process {folder.name})"
            except OSError:
                continue
    return "another process"


def _code() -> str:
    """Return a hash of the lab's own code: a stand-in of yesterday's does not serve today's tests."""
    files = sorted((CHECKOUT / "lab").rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _pid_file(paths: Paths) -> Path:
    return paths.proxmox / "pid"
