"""A SIP phone: ``attacker.py HERE THERE ACCOUNT PASSWORD CALL_ID RESPONSE``, run where its packets come from.

Prints the last status that it got (RFC 3261 §22, digest of RFC 2617 with MD5), or ``silence``. RESPONSE stands in the
digest's place; an empty one is computed, an empty CALL_ID is made. Without a password it asks for ACCOUNT0, ACCOUNT1
and so on, and prints how many were answered before it heard nothing more.
"""

import hashlib
import re
import secrets
import socket
import sys
import time

HERE, THERE, ACCOUNT, PASSWORD, CALL_ID, RESPONSE = sys.argv[1:]
if PASSWORD and not CALL_ID:
    CALL_ID = secrets.token_hex(8)
URI = f"sip:{THERE}"


def md5(*parts: str) -> str:
    """Return the digest of parts, joined as the RFC says."""
    return hashlib.md5(":".join(parts).encode()).hexdigest()  # noqa: S324 - the protocol's


def register(connection: socket.socket, number: int, authorization: str = "", account: str = ACCOUNT) -> str:
    """Send a REGISTER and return the answer."""
    port = connection.getsockname()[1]
    lines = [
        f"REGISTER {URI} SIP/2.0",
        f"Via: SIP/2.0/UDP {HERE}:{port};branch=z9hG4bK{secrets.token_hex(8)};rport",
        "Max-Forwards: 70",
        f"From: <sip:{account}@{THERE}>;tag={secrets.token_hex(4)}",
        f"To: <sip:{account}@{THERE}>",
        f"Call-ID: {CALL_ID or secrets.token_hex(8)}",
        f"CSeq: {number} REGISTER",
        f"Contact: <sip:{account}@{HERE}:{port}>",
        "Expires: 60",
        *([f"Authorization: {authorization}"] if authorization else []),
        "Content-Length: 0",
    ]
    connection.sendto(("\r\n".join(lines) + "\r\n\r\n").encode(), (THERE, 5060))
    # Asterisk asks for a sign of life in between (OPTIONS).
    while not (answer := connection.recv(8192).decode()).startswith("SIP/2.0 "):
        pass
    return answer


def scan() -> str:
    """Ask for accounts that there may be, and return how many times there was an answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.bind((HERE, 0))
        connection.settimeout(1.5)
        for number in range(200):
            try:
                register(connection, 1, account=f"{ACCOUNT}{number}")
            except TimeoutError:
                return str(number)
            time.sleep(0.02)
    return "200"


def main() -> str:
    """Register and return the status."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.bind((HERE, 0))
        connection.settimeout(1.5)
        try:
            challenge = register(connection, 1)
            asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
            cnonce, count = secrets.token_hex(8), "00000001"
            first = md5(ACCOUNT, asked["realm"], PASSWORD)
            second = md5("REGISTER", URI)
            response = md5(first, asked["nonce"], count, cnonce, "auth", second)
            words = {"username": ACCOUNT, "realm": asked["realm"], "nonce": asked["nonce"], "uri": URI}
            words |= {"response": RESPONSE or response, "cnonce": cnonce, "opaque": asked.get("opaque", "")}
            quoted = ", ".join(f'{name}="{value}"' for name, value in words.items())
            answer = register(connection, 2, f"Digest {quoted}, algorithm=MD5, qop=auth, nc={count}")
        except TimeoutError:
            return "silence"
    return answer.split()[1]


if __name__ == "__main__":
    print(main() if PASSWORD else scan())  # noqa: T201 - a command line
