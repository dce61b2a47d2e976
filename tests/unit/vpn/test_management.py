"""What OpenVPN's management interface says (recorded from release 2.6.14), and what is asked of it."""

import socket
import threading
from pathlib import Path

import pytest

from centralino.vpn.errors import VpnError
from centralino.vpn.management import NotRunningError, end_sessions, open_management

COLUMNS = (
    "Common Name,Real Address,Virtual Address,Virtual IPv6 Address,Bytes Received,Bytes Sent,Connected Since,"
    "Connected Since (time_t),Username,Client ID,Peer ID,Data Channel Cipher"
)
HEADER = f"HEADER\tCLIENT_LIST\t{COLUMNS}".replace(",", "\t")
ANNA = (
    "CLIENT_LIST\tanna\t10.99.0.11:46381\t10.75.0.2\t\t3071\t2996\t2026-11-22 11:29:52\t1795346992\tUNDEF\t0\t0\t"
    "AES-256-GCM"
)
HANDSHAKE = "CLIENT_LIST\tUNDEF\t10.99.0.12:52021\t\t\t0\t0\t2026-11-22 11:29:52\t1795346992\tUNDEF\t7\t1\t"


class Recorded(threading.Thread):
    """Answers ``status`` with what is next in its list, and ``kill`` as long as somebody is there."""

    def __init__(self, path: Path, *statuses: list[str]) -> None:
        super().__init__(daemon=True)
        self.heard: list[str] = []
        self._statuses = list(statuses)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()

    def run(self) -> None:
        connection, _ = self._socket.accept()
        with connection, connection.makefile("rw", newline="") as talk:
            talk.write(">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n")
            talk.flush()
            for line in talk:
                self.heard.append(line.strip())
                if line.startswith("status"):
                    now = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
                    answer = [
                        "TITLE\tOpenVPN 2.6.14",
                        HEADER,
                        *now,
                        "GLOBAL_STATS\tMax bcast/mcast queue length\t0",
                        "END",
                    ]
                else:
                    there = any(f"\t{line.split()[1]}\t" in row for row in self._statuses[0])
                    verdict = "SUCCESS: common name 'anna' found, 1 client(s) killed"
                    answer = [verdict if there else "ERROR: common name 'anna' not found"]
                    if there:
                        self._statuses = [[]]
                talk.write("".join(f"{each}\r\n" for each in answer))
                talk.flush()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "management.sock"


def test_sessions_are_read_by_their_columns_names(path: Path) -> None:
    Recorded(path, [ANNA, HANDSHAKE]).start()
    with open_management(path) as management:
        anna, other = management.sessions()
    assert (anna.name, anna.source, anna.address) == ("anna", "10.99.0.11:46381", "10.75.0.2")
    assert anna.since == "2026-11-22 11:29:52"
    assert not anna.in_handshake
    assert other.in_handshake


def test_who_is_in_a_handshake_is_waited_for_and_ended_then(path: Path) -> None:
    """He has shown his certificate already, so the revocation list does not stop him any more."""
    server = Recorded(path, [HANDSHAKE], [HANDSHAKE], [ANNA.replace("\t0\t0\tAES", "\t7\t1\tAES")])
    server.start()
    assert end_sessions(path, "anna") == 1
    assert server.heard.count("kill anna") >= 2
    assert server.heard[-1] == "kill anna"


def test_nobody_is_told_so(path: Path) -> None:
    with pytest.raises(NotRunningError), open_management(path):
        pass
    closed = Recorded(path, [])
    closed.close()
    with pytest.raises(NotRunningError), open_management(path):
        pass


def test_a_conversation_that_breaks_off_is_an_error(path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def hang_up() -> None:
        connection, _ = listener.accept()
        connection.recv(99)
        connection.close()

    threading.Thread(target=hang_up, daemon=True).start()
    with pytest.raises(VpnError, match="systemctl status centralino-openvpn"), open_management(path) as management:
        management.sessions()
