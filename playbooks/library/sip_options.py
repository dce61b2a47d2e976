"""Ansible module: ask a SIP server whether it answers (OPTIONS, RFC 3261 §11)."""

import secrets
import socket
import ssl
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: sip_options
short_description: Ask a SIP server whether it answers
description:
  - Sends one OPTIONS request and waits for any final answer; a server that refuses the request still answers.
options:
  host:
    description: Address of the server.
    type: str
    required: true
  port:
    description: Port of the server.
    type: int
    required: true
  transport:
    description: How the request travels.
    type: str
    choices: [udp, tls]
    default: udp
  ca:
    description: File with the authority that must have signed the server's certificate (TLS only).
    type: path
  timeout:
    description: Seconds to wait for the answer.
    type: int
    default: 5
author: Centralino
"""

RETURN = """
status:
  description: The answer's status line.
  type: str
  returned: success
  sample: SIP/2.0 200 OK
milliseconds:
  description: Time from the request to the answer.
  type: float
  returned: success
"""


def request(host: str, port: int, transport: str, local: tuple[str, int]) -> bytes:
    """Return an OPTIONS request whose answer comes back to ``local``."""
    address = f"{local[0]}:{local[1]}"
    return (
        f"OPTIONS sip:{host}:{port} SIP/2.0\r\n"
        f"Via: SIP/2.0/{transport.upper()} {address};branch=z9hG4bK{secrets.token_hex(8)};rport\r\n"
        "Max-Forwards: 70\r\n"
        f"From: <sip:verify@{address}>;tag={secrets.token_hex(4)}\r\n"
        f"To: <sip:{host}:{port}>\r\n"
        f"Call-ID: {secrets.token_hex(8)}\r\n"
        "CSeq: 1 OPTIONS\r\n"
        f"Contact: <sip:verify@{address}>\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def connect(host: str, port: int, transport: str, ca: str | None, timeout: int) -> socket.socket:
    """Return a socket that is connected to the server."""
    if transport == "udp":
        plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        plain.settimeout(timeout)
        plain.connect((host, port))
        return plain
    context = ssl.create_default_context(cafile=ca)
    return context.wrap_socket(socket.create_connection((host, port), timeout=timeout), server_hostname=host)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "transport": {"type": "str", "choices": ["udp", "tls"], "default": "udp"},
            "ca": {"type": "path"},
            "timeout": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )
    asked = module.params
    where = f"{asked['host']}:{asked['port']} ({asked['transport']})"
    began = time.monotonic()
    try:
        with connect(asked["host"], asked["port"], asked["transport"], asked["ca"], asked["timeout"]) as connection:
            connection.sendall(request(asked["host"], asked["port"], asked["transport"], connection.getsockname()))
            answer = connection.recv(65535)
    except OSError as error:
        module.fail_json(msg=f"{where} does not answer SIP: {error}. Is Asterisk running there, and the port open?")
    status = answer.split(b"\r\n", 1)[0].decode(errors="replace")
    if not status.startswith("SIP/2.0 "):
        module.fail_json(msg=f"{where} answers something that is no SIP: {status[:80]!r}")
    module.exit_json(changed=False, status=status, milliseconds=round((time.monotonic() - began) * 1000, 1))


if __name__ == "__main__":
    main()
