"""A desk phone on the guest's voice network: it starts as its vendor's phones do, and baresip is its SIP user agent."""

import base64
import json
import sys
from pathlib import Path
from shlex import quote
from typing import Self
from xml.etree import ElementTree as ET

from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).parents[2] / "dhcp"))
from lease import ask

AUTHORITY = "/etc/centralino/pki/ca.crt"
CONTROL_PORT = 4444
TONE = 440
"""Hz, spoken into every phone."""

CONFIGURATION = """
module_path /usr/lib/baresip/modules
module g711.so
module srtp.so
module ausine.so
module aufile.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
sip_listen {address}:5060
sip_cafile {authority}
sip_verify_server yes
ctrl_tcp_listen {address}:{control}
audio_source ausine,{tone}
audio_player aufile,{folder}/heard.wav
audio_alert aufile,{folder}/alert.wav
ringback_disabled yes
ausrc_srate 48000
auplay_srate 8000
"""


class Desk:
    """One phone; its MAC tells it from others on the cable."""

    def __init__(self, host: Host, name: str, mac: str) -> None:
        self.host = host
        self.name = name
        self.mac = mac.replace(":", "")
        self._written = mac
        self._folder = f"/run/{name}"
        self.address = ""
        self.account: dict[str, str] = {}

    def lease(self, vendor_class: str) -> dict[str, str]:
        """Ask for an address, take it, and return all that the DHCP server told."""
        told = ask(self.host, vendor_class, mac=self._written)
        self.address = told["address"]
        self.host.check_output("ip -n voice link set lo up")
        self.host.run(f"ip -n voice address add {self.address}/24 dev phone")
        return told

    def fetch(self, url: str) -> str | None:
        """Return what is at an address, over TLS as a phone asks that trusts the authority; None for a 404."""
        curl = f"curl --silent --show-error --max-time 20 --cacert {AUTHORITY} --interface {self.address}"
        done = self.voice(f"{curl} --write-out '\\n%{{http_code}}' {quote(url)}")
        content, _, status = done.rpartition("\n")
        assert status in {"200", "404", "226", "000"}, done
        return content if status != "404" else None

    def tftp(self, server: str, name: str) -> str:
        """Return a file of a TFTP server."""
        return self.voice(f"curl --silent --show-error --max-time 10 tftp://{server}/{name}")

    def voice(self, command: str) -> str:
        """Run a command on the voice network."""
        return str(self.host.check_output(f"ip netns exec voice {command}"))

    def take(self, account: dict[str, str]) -> None:
        """Keep an account: user, password, server, port, transport, srtp."""
        self.account = account

    def start(self, *, encrypted: bool = True) -> Self:
        """Start the user agent with the account that the phone was given; it registers by itself."""
        account = self.account
        server = f"{account['server']}:{account['port']};transport={account['transport']}"
        line = (
            f"<sip:{account['user']}@{account['server']};transport={account['transport']}>;auth_user={account['user']}"
            f';auth_pass={account["password"]};outbound="sip:{server}";regint=60;answermode=auto;audio_codecs=pcma'
            + (";mediaenc=srtp-mand" if encrypted else "")
        )
        values = {"address": self.address, "authority": AUTHORITY, "control": CONTROL_PORT, "tone": TONE}
        self.stop()
        self.host.check_output(f"mkdir -p {self._folder}")
        self._write("config", CONFIGURATION.format(folder=self._folder, **values))
        self._write("accounts", line + "\n")
        run = f"ip netns exec voice baresip -s -f {self._folder}"
        self.host.check_output(f"systemd-run --quiet --collect --unit {self.name} {run}")
        return self

    def stop(self) -> None:
        """End the user agent and forget what it did."""
        self.host.run(f"systemctl stop {self.name}; rm -rf {self._folder}")

    def dial(self, number: str) -> None:
        """Press the keys."""
        self._control("dial", number)

    def hang_up(self) -> None:
        """Put the handset down."""
        self._control("hangup", "")

    def said(self) -> str:
        """Return the user agent's words since its start, all SIP messages among them."""
        run = f"_SYSTEMD_INVOCATION_ID=$(systemctl show --property InvocationID --value {self.name})"
        return str(self.host.check_output(f"journalctl --all --output cat --no-pager {run}"))

    def heard(self) -> bytes:
        """Return what the loudspeaker has played so far: 16-bit samples, 8000 a second."""
        encoded = self.host.run(f"base64 --wrap 0 {self._folder}/heard.wav").stdout
        return base64.b64decode(encoded)[44:]

    def _write(self, name: str, text: str) -> None:
        self.host.check_output(f"printf %s {quote(text)} >{self._folder}/{name}")

    def _control(self, command: str, parameters: str) -> None:
        text = json.dumps({"command": command, "params": parameters})
        program = (
            "import socket; s = socket.create_connection(({address!r}, {port}), 5); s.sendall({message!r}); s.recv(100)"
        ).format(address=self.address, port=CONTROL_PORT, message=f"{len(text)}:{text},".encode())
        self.voice(f"python3 -c {quote(program)}")


def yealink(content: str) -> dict[str, str]:
    """Return the first account of a Yealink's file."""
    found = dict(line.split(" = ", 1) for line in content.splitlines()[1:])
    return {
        "user": found["account.1.auth_name"],
        "password": found.get("account.1.password", ""),
        "server": found["account.1.sip_server.1.address"],
        "port": found["account.1.sip_server.1.port"],
        "transport": {"0": "udp", "2": "tls"}[found["account.1.sip_server.1.transport_type"]],
        "folder": found["static.auto_provision.server.url"],
    }


def cisco(content: str) -> dict[str, str]:
    """Return the first account of a Cisco SPA's flat profile."""
    found = {item.tag: item.text or "" for item in ET.fromstring(content)}  # noqa: S314 - our own file
    server, _, port = found["Proxy_1_"].partition(":")
    return {
        "user": found["Auth_ID_1_"],
        "password": found.get("Password_1_", ""),
        "server": server,
        "port": port,
        "transport": found["SIP_Transport_1_"].lower(),
        "folder": found["Profile_Rule"].removesuffix("$MA.cfg"),
    }
