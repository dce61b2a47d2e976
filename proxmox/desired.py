"""The cluster as the inventory wants it: plain data that the plan is made from."""

import hashlib
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import urlsplit

from proxmox.sizing import Size

DESCRIPTION = "Managed by Centralino: what is changed here by hand, the next run changes back."
TEMPLATE_DESCRIPTION = "Golden template of Centralino: guests are cloned from it."
TEMPLATE_SOURCE = "Made from: "
"""Begins the line of a template's description that says which version it is."""


@dataclass(frozen=True)
class Endpoint:
    """The Proxmox API and how it is trusted."""

    host: str
    port: int
    token_id: str
    token_secret: str = field(repr=False)
    ca: Path | None = None
    fingerprint: str | None = None
    where: dict[str, str] = field(default_factory=dict, compare=False)
    """Which file sets a variable, for sentences: ``{"proxmox_api_ca": "inventories/lab/group_vars/all.yml:4"}``."""


@dataclass(frozen=True)
class Access:
    """How a guest is logged in to; the same values that Ansible uses."""

    user: str
    port: int
    private_key: Path
    public_key: str | None = field(repr=False)
    """Text, one key a line; nothing where the pair is not made yet."""
    known_hosts: Path
    arguments: tuple[str, ...]
    """What Ansible passes to ``ssh`` besides (``ansible_ssh_common_args``)."""
    timeout: int


@dataclass(frozen=True)
class Template:
    """The golden template that guests are cloned from."""

    vmid: int
    name: str
    node: str
    storage: str
    image_url: str
    image_checksum: str | None
    image_storage: str
    bridge: str
    cpu: str
    pool: str | None

    @property
    def image(self) -> str:
        """File name of the image on its storage: the address's, and by a hash which version it is.

        So another address or checksum is fetched, and verified, where a file of the same name is there already.
        """
        stem, _, kind = urlsplit(self.image_url).path.rsplit("/", 1)[-1].rpartition(".")
        return f"{stem}-{hashlib.sha256(self.source.encode()).hexdigest()[:8]}.{kind}"

    @property
    def source(self) -> str:
        """What the template is made from, which is its version: the image, and its checksum where one is given."""
        return f"{self.image_url} {self.image_checksum or ''}".strip()


@dataclass(frozen=True)
class Guest:
    """One virtual machine."""

    name: str
    node: str
    vmid: int
    size: Size
    cpu: str
    address: IPv4Address | None
    """None where a DHCP server gives it, and until the cluster was asked."""
    prefix: int
    gateway: IPv4Address
    nameservers: tuple[IPv4Address, ...]
    search_domain: str
    storage: str
    bridge: str
    vlan: int | None
    mac: str
    mac_is_set: bool
    """Whether the inventory names the card's address; if not, a running guest keeps the one that it has."""
    groups: frozenset[str]
    """Its function groups; guests of one are kept apart."""
    backup_storage: str | None
    tags: tuple[str, ...]
    pool: str | None
    access: Access
    template: Template
    task_timeout: int
    dhcp: bool = False
    standby: bool = False
    """A PBX that carries no calls."""
    service_ca: Path | None = None
    """The authority of the guests' own certificates."""
    where: dict[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Cluster:
    """All that one inventory wants."""

    name: str
    endpoint: Endpoint
    guests: tuple[Guest, ...]
    """Sorted by name."""
    parallel_clones: int
    journal: Path
    """Where requests and tasks are noted."""
    fence_hook: Path | None = None
    """Proves that a node is off."""
    switch_hook: Path | None = None
    """Directs new calls to the PBX that stands by."""
    backup_schedule: str | None = None
    """When all guests are backed up, as a calendar event of Proxmox."""
    backup_retention: str = ""
    """What is kept of a guest's backups: ``keep-daily=7,keep-weekly=4``."""
    takeover_hook: Path | None = None
    """Moves a guest's configuration from a dead node to another."""

    @property
    def templates(self) -> tuple[Template, ...]:
        """Every template that a guest names, once."""
        return tuple(sorted({guest.template for guest in self.guests}, key=lambda template: template.vmid))


def derived_mac(cluster: str, guest: str) -> str:
    """Return the card address of a guest: locally administered, unicast, the same on every run."""
    digest = hashlib.sha256(f"{cluster}/{guest}".encode()).digest()
    return ":".join(f"{byte:02X}" for byte in (0x02, *digest[:5]))
