"""Playbooks of ``community.proxmox`` tasks against a stand-in: a client of the Proxmox API that no one here wrote."""

import json
import sys
from pathlib import Path

PLAYBOOK = str(Path(sys.executable).with_name("ansible-playbook"))


def access(folder: Path, port: int) -> dict[str, object]:
    """Return the options by which a module reaches the stand-in with that state folder at that port of loopback."""
    token = json.loads((folder / "token.json").read_text())
    user, _, name = token["id"].partition("!")
    return {
        "api_host": "127.0.0.1",
        "api_port": port,
        "api_user": user,
        "api_token_id": name,
        "api_token_secret": token["secret"],
        "validate_certs": True,
    }


def environment(folder: Path, home: Path) -> dict[str, str]:
    """Return the environment of a playbook whose modules know the stand-in's certificate."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "REQUESTS_CA_BUNDLE": str(folder / "ca.pem"),
    }
