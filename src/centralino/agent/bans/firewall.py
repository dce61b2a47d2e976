"""The two nftables sets that role ``firewall`` drops packets by, made equal to what is wanted."""

import subprocess
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Final

Address = IPv4Address | IPv6Address

_NFT: Final = "/usr/sbin/nft"
_TABLE: Final = "inet centralino"
_SECONDS: Final = 10


class FirewallError(Exception):
    """The sets could not be changed and are as they were; the text says what to do."""


def script(bans: Mapping[Address, int]) -> str:
    """Return the transaction (nft(8)) after which the sets hold these addresses, each for so many seconds."""
    lines = []
    for name, version in (("bans4", 4), ("bans6", 6)):
        lines.append(f"flush set {_TABLE} {name}")
        elements = [f"{address} timeout {seconds}s" for address, seconds in bans.items() if address.version == version]
        if elements:
            lines.append(f"add element {_TABLE} {name} {{ {', '.join(elements)} }}")
    return "\n".join(lines) + "\n"


def enforce(bans: Mapping[Address, int]) -> None:
    """Put the bans in force, all in one step: nobody who stays banned gets a packet through.

    Raises:
        FirewallError: where nft refuses; nothing has changed.

    """
    try:
        done = subprocess.run(  # noqa: S603 - what is in the script are addresses and numbers
            [_NFT, "-f", "-"], input=script(bans), capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except OSError as error:
        raise FirewallError(f"{_NFT}: {error.strerror}: run role firewall on this guest") from None
    except subprocess.TimeoutExpired:
        raise FirewallError(f"{_NFT} did not answer within {_SECONDS} s: is this machine overloaded?") from None
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if line.strip()), "it gave no reason").strip()
        raise FirewallError(f"nft refuses the bans ({reason[:200]}): is centralino-firewall.service running?")
