"""A real panel for tests: its own PostgreSQL cluster on a Unix socket, its own configuration, gone at the end.

Importing this module sets Django up, so that test modules may import models; the database is started by the fixture.
"""

import atexit
import functools
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import django
import httpx
import pytest

from tests.ports import free_port

FOLDER = Path(tempfile.mkdtemp(prefix="centralino-panel-"))
CONFIG = FOLDER / "panel.toml"
APP_SOCKET = FOLDER / "run" / "panel.sock"
CTI_PORT = free_port()
_DATABASE_FOLDER = FOLDER / "postgresql"
_USER = "centralino-panel"


def _postgresql(program: str) -> str:
    """Return the path of one of PostgreSQL's own programs, which Debian keeps outside PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda path: int(path.parts[4]))
    if not found:
        raise RuntimeError("PostgreSQL is missing, and the panel is tested on it: apt-get install postgresql")
    return str(found[-1])


def _as_cluster_owner(command: Sequence[str]) -> None:
    """Run one of PostgreSQL's programs; it refuses root, so root steps down."""
    user = pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else None
    done = subprocess.run(command, user=user, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        log = _DATABASE_FOLDER / "log"
        raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}{log.read_text() if log.exists() else ''}")


@functools.cache
def start_database() -> None:
    """Start a PostgreSQL cluster with the panel's tables, once; it stops when the tests end."""
    data = _DATABASE_FOLDER / "data"
    _DATABASE_FOLDER.mkdir()
    if os.geteuid() == 0:
        shutil.chown(_DATABASE_FOLDER, "postgres")
    _as_cluster_owner([_postgresql("initdb"), "-D", str(data), "-U", _USER, "-A", "trust", "-E", "UTF8", "--no-sync"])
    options = f"-c listen_addresses='' -c unix_socket_directories={_DATABASE_FOLDER} -c fsync=off"
    control = [_postgresql("pg_ctl"), "-D", str(data), "-w"]
    _as_cluster_owner([*control, "-l", str(_DATABASE_FOLDER / "log"), "-o", options, "start"])
    # Handlers run in the opposite order of their registration: the cluster stops before its folder goes.
    atexit.register(_as_cluster_owner, [*control, "-m", "immediate", "stop"])
    subprocess.run([_postgresql("createdb"), "-h", str(_DATABASE_FOLDER), "-U", _USER, "centralino"], check=True)
    from django.core.management import call_command  # noqa: PLC0415 - after the set-up below

    call_command("migrate", verbosity=0, interactive=False)
    call_command("collectstatic", verbosity=0, interactive=False)


@contextmanager
def server(*arguments: str, socket: Path = APP_SOCKET) -> Iterator[Path]:
    """Run the panel under gunicorn on a socket, as the guest does; yield the socket."""
    socket.parent.mkdir(exist_ok=True)
    with _gunicorn("--bind", f"unix:{socket}", *arguments, client=httpx.HTTPTransport(uds=str(socket))):
        yield socket


@contextmanager
def tls_server(certificate: Path, key: Path, port: int) -> Iterator[str]:
    """Run the panel under gunicorn for a browser on this machine; yield its address."""
    arguments = ["--bind", f"localhost:{port}", "--certfile", str(certificate), "--keyfile", str(key)]
    arguments += ["--pythonpath", str(Path(__file__).parents[3]), "tests.unit.panel.with_static:application"]
    with _gunicorn(*arguments, client=httpx.HTTPTransport(verify=False), address=f"https://localhost:{port}"):
        yield f"https://localhost:{port}"


@contextmanager
def _gunicorn(*arguments: str, client: httpx.HTTPTransport, address: str = "http://panel.test") -> Iterator[None]:
    command = [sys.executable, "-m", "gunicorn", "--config", "python:centralino.panel.server"]
    command += ["--workers", "2", "--threads", "24", *arguments]
    log = FOLDER / "gunicorn.log"
    with log.open("w") as stream, httpx.Client(transport=client, timeout=30) as asking:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
        try:
            # The socket is open long before a worker takes requests.
            for _ in range(300):
                if _answers(asking, address) or process.poll() is not None:
                    break
                time.sleep(0.1)
            if not _answers(asking, address):
                pytest.fail(f"the panel did not start: {log.read_text()}")
            yield
        finally:
            process.terminate()
            process.wait(30)


def _answers(asking: httpx.Client, address: str) -> bool:
    try:
        return asking.get(f"{address}/health").is_success
    except httpx.TransportError:
        return False


CONFIG.write_text(
    f"""
hosts = ["panel.test", "localhost"]
secret_key = "a-key-for-tests-alone-that-is-long-enough-to-be-taken-0123456789"
cti_url = "wss://localhost:{CTI_PORT}"
static_root = "{FOLDER}/static"
never_banned = ["192.0.2.0/28", "2001:db8:ffff::/48"]
[guests]
pbx01 = "pbx"
pbx02 = "pbx"
cti01 = "cti"
web01 = "guest"
[database]
host = "{_DATABASE_FOLDER}"
[phones]
url = "https://panel.test/phones/"
ca = "{FOLDER}/ca.crt"
[phones.servers]
pbx01 = "pbx01.test"
pbx02 = "pbx02.test"
[phones.defaults.settings]
time_zone = "Europe/Rome"
language = "it"
vlan = 42
[phones.defaults.models.yealink-t54w]
firmware_url = "https://fw.test/t54w.rom"
""",
    encoding="utf-8",
)
(FOLDER / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", encoding="ascii")
FOLDER.chmod(0o755)
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
os.environ["CENTRALINO_PANEL_CONFIG"] = str(CONFIG)
os.environ["DJANGO_SETTINGS_MODULE"] = "centralino.panel.settings"
django.setup()
