"""Every inventory variable of the provisioner: its type, its limits, its default and what it means.

This is the only place that lists them; ``python -m proxmox variables`` prints it. A field ``x`` is the variable
``proxmox_x`` of a host, set wherever Ansible takes a host's variables from. Most belong into
``group_vars/all/proxmox.yml``; ``node``, ``vmid`` and exceptions to the sizing into ``host_vars/<guest>.yml``.
"""

import re
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

PREFIX: Final = "proxmox_"

_CHECKSUM_DIGITS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}


def _checksum(value: str) -> str:
    algorithm, _, digits = value.partition(":")
    if not re.fullmatch(rf"[0-9a-f]{{{_CHECKSUM_DIGITS.get(algorithm, 0)}}}", digits) or not digits:
        raise ValueError("must be sha256:, sha384: or sha512: followed by the checksum's hexadecimal digits")
    return value


def _retention(value: str) -> str:
    parts = [part.partition("=") for part in value.split(",")]
    names = [name for name, _, _ in parts]
    known = {f"keep-{period}" for period in ("last", "hourly", "daily", "weekly", "monthly", "yearly")}
    if value == "keep-all=1":
        return value
    if len(set(names)) < len(names) or not set(names) <= known or not all(re.fullmatch(r"\d+", n) for _, _, n in parts):
        raise ValueError(
            "must be keep-all=1, or some of keep-last, keep-hourly, keep-daily, keep-weekly, keep-monthly and "
            "keep-yearly, each with its number: keep-daily=7,keep-weekly=4"
        )
    if not any(int(number) for _, _, number in parts):
        raise ValueError("keeps no backup at all: give one of its numbers another value than 0")
    return value


def _fingerprint(value: str) -> str:
    digits = value.replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ValueError("must be the SHA-256 fingerprint of the API's certificate: 32 pairs of hexadecimal digits")
    return digits


def _unicast(value: str) -> str:
    if int(value[:2], 16) & 1:
        raise ValueError("must not be a multicast address (its first byte is odd)")
    return value.upper()


Id = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*[A-Za-z0-9]$")]
"""What Proxmox takes as the name of a storage or a pool."""
HOST_NAME: Final = r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$"
HostName = Annotated[str, Field(pattern=HOST_NAME, max_length=253)]
"""What Proxmox takes as the name of a node or a machine (``dns-name``)."""
VmId = Annotated[int, Field(ge=100, le=999_999_999)]
Tag = Annotated[str, Field(pattern=r"^[a-z0-9_][a-z0-9_+.-]*$")]


class Variables(BaseModel):
    """One guest's ``proxmox_*`` variables, after templating."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    # Where and how large: usually host variables.
    node: HostName = Field(description="Node that the guest is made on.")
    vmid: VmId = Field(description="The guest's number, unique on the whole cluster.")
    cores: Annotated[int, Field(ge=1, le=512)] | None = Field(
        None, description="Cores of its one socket; default by function group."
    )
    memory: Annotated[int, Field(ge=512, le=4 * 1024 * 1024)] | None = Field(
        None, description="Memory in MiB; default by function group."
    )
    disk: Annotated[int, Field(ge=4, le=64 * 1024)] | None = Field(
        None, description="Disk in GiB; it only grows; default by function group."
    )
    cpu: str = Field(
        "x86-64-v2-AES",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="CPU type; `host` is fastest where all nodes have the same processor.",
    )
    mac: Annotated[str, Field(pattern=r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$"), AfterValidator(_unicast)] | None = (
        Field(
            None,
            description="Address of the network card; default: computed, so that a guest made anew keeps it.",
        )
    )
    tags: tuple[Tag, ...] = Field((), description="Tags besides `centralino` and the guest's function groups.")
    standby: bool = Field(
        False, description="The PBX stands by and carries no calls: `relocate` moves it first, to prove the new place."
    )
    pool: Id | None = Field(None, description="Resource pool that new guests and templates are put into.")

    # The cluster's API.
    api_host: HostName = Field(description="Name or address of any node; must be in its certificate.")
    api_port: Annotated[int, Field(ge=1, le=65535)] = Field(8006, description="Port of the API.")
    api_token_id: str = Field(
        pattern=r"^[^\s:/!]+@[A-Za-z][A-Za-z0-9._-]+![A-Za-z][A-Za-z0-9._-]+$",
        description="API token: `user@realm!name`.",
    )
    api_token_secret: SecretStr = Field(
        min_length=8, description="The token's secret, from a vault or a file that is not in git."
    )
    api_ca: Path | None = Field(
        None,
        description="PEM file of the CA that signed the API's certificate (a node's /etc/pve/pve-root-ca.pem); "
        "default: what this machine trusts.",
    )
    api_fingerprint: Annotated[str, AfterValidator(_fingerprint)] | None = Field(
        None, description="SHA-256 fingerprint of the API's certificate, in place of proxmox_api_ca."
    )

    # Storage and network of the guests.
    storage: Id = Field(description="Storage of the guests' disks (content `images`).")
    backup_storage: Id | None = Field(
        None, description="Storage of the guests' backups (content `backup`), seen by every node."
    )
    backup_schedule: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        None,
        description="When `schedule` has the cluster back all guests up: a calendar event of Proxmox, such as `01:30` "
        "or `mon..fri 22:00`; default: jobs are made by hand.",
    )
    backup_retention: Annotated[str, AfterValidator(_retention)] = Field(
        "keep-daily=7,keep-weekly=4,keep-monthly=6",
        description="Which of a guest's backups those keep, as Proxmox's `prune-backups`; the others are removed.",
    )
    bridge: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,14}$", description="Bridge or VNet that the guests are connected to."
    )
    vlan: Annotated[int, Field(ge=1, le=4094)] | None = Field(None, description="VLAN tag on that bridge.")
    network_prefix: Annotated[int, Field(ge=8, le=30)] = Field(24, description="Length of the network's prefix.")
    gateway: IPv4Address = Field(
        description="Default gateway; with the prefix it says which network the guests are in."
    )
    dhcp: bool = Field(
        False,
        description="The network's DHCP server gives the guest its address; ansible_host then comes from the cluster "
        "and is not set (docs/operations/addresses.md).",
    )
    nameservers: tuple[IPv4Address, ...] = Field(
        min_length=1, description="Name servers that guests are told at first boot."
    )
    search_domain: HostName = Field(description="Domain that guests search names in.")

    # Access to the guests.
    ssh_user: str = Field(
        pattern=r"^[a-z_][a-z0-9_-]{0,31}$", description="Account that cloud-init makes on each guest."
    )
    ssh_private_key: Path = Field(description="Key that opens this account; made once where the file does not exist.")
    ssh_public_key: str | None = Field(
        None, description="Its public half: a path or the text itself; default: the private key's path and `.pub`."
    )
    ssh_known_hosts: Path = Field(
        description="File that the guests' host keys are kept in; one made anew is forgotten there."
    )
    ssh_timeout: Annotated[int, Field(ge=10, le=3600)] = Field(
        300, description="Seconds within which a started guest must let us log in."
    )

    # The golden template.
    template_vmid: VmId = Field(description="The template's number.")
    template_name: HostName = Field("centralino-debian-13", description="The template's name.")
    template_node: HostName = Field(description="Node that the template is made on.")
    template_storage: Id | None = Field(
        None,
        description="Storage of its disk; default: proxmox_storage. Shared, if guests are on other nodes, and then "
        "proxmox_storage too.",
    )
    template_image_url: str = Field(
        pattern=r"^https?://\S+/[A-Za-z0-9][A-Za-z0-9_.-]*\.(qcow2|raw|vmdk)$",
        description="Cloud image that it is made from; fetched by the node.",
    )
    template_image_checksum: Annotated[str, AfterValidator(_checksum)] | None = Field(
        None, description="`sha512:…` (or sha256, sha384) of the image, verified by the node."
    )
    image_storage: Id = Field(description="Storage that keeps the downloaded image (content `import`).")

    # Limits.
    parallel_clones: Annotated[int, Field(ge=1, le=64)] = Field(
        4, description="Clones from one storage at the same time."
    )
    task_timeout: Annotated[int, Field(ge=30, le=86400)] = Field(
        1800, description="Seconds that one task of the cluster may take."
    )

    fence_hook: Path | None = Field(
        None,
        description="Program that is called with a node's name and proves by exit code 0 that it is off (BMC, PDU).",
    )
    switch_hook: Path | None = Field(
        None,
        description="Program that `relocate` calls with the name of the PBX that stands by, once it answers in the new "
        "place: it directs new calls there; may be called again.",
    )
    takeover_hook: Path | None = Field(
        None,
        description="Program that `failover` calls with a VMID, the dead node and a living one, for a guest without "
        "HA: it moves the guest's configuration below /etc/pve/nodes from the one to the other; may be called "
        "again. Without it the guest is given to HA, which waits a minute.",
    )
    journal: Path = Field(
        Path(".secrets/proxmox.journal"),
        description="File that requests are noted in before they are waited for; its lock keeps two runs apart.",
    )

    @model_validator(mode="after")
    def _one_trust(self) -> "Variables":
        if self.api_ca and self.api_fingerprint:
            raise ValueError("proxmox_api_ca and proxmox_api_fingerprint are both set: keep one")
        return self


CLUSTER_WIDE: Final = (
    "api_host",
    "api_port",
    "api_token_id",
    "api_token_secret",
    "api_ca",
    "api_fingerprint",
    "backup_schedule",
    "backup_retention",
    "parallel_clones",
    "fence_hook",
    "switch_hook",
    "takeover_hook",
    "journal",
)
"""What must be the same for all guests: one inventory, one Proxmox cluster."""
