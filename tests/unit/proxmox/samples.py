"""A guest, and the machine that is exactly as it wants."""

from ipaddress import IPv4Address
from pathlib import Path

from proxmox import plan, rights
from proxmox.desired import Access, Cluster, Endpoint, Guest, Template
from proxmox.sizing import Size
from proxmox.state import Machine, Node, State, Storage
from proxmox.variables import PREFIX, Variables

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ops@centralino"
TEMPLATE = Template(
    vmid=9000,
    name="centralino-debian-13",
    node="pve1",
    storage="shared",
    image_url="https://cloud.example.com/debian-13.qcow2",
    image_checksum=None,
    image_storage="shared",
    bridge="vmbr0",
    cpu="x86-64-v2-AES",
    pool=None,
)
ACCESS = Access(
    user="ops",
    port=22,
    private_key=Path("/secrets/id"),
    public_key=PUBLIC_KEY,
    known_hosts=Path("/secrets/known_hosts"),
    arguments=(),
    timeout=300,
)
GUEST = Guest(
    name="pbx01",
    node="pve1",
    vmid=101,
    size=Size(4, 4096, 32),
    cpu="x86-64-v2-AES",
    address=IPv4Address("198.18.0.11"),
    prefix=24,
    gateway=IPv4Address("198.18.0.1"),
    nameservers=(IPv4Address("198.18.0.1"),),
    search_domain="test.example",
    storage="shared",
    bridge="vmbr0",
    vlan=None,
    mac="02:00:00:00:00:11",
    mac_is_set=False,
    groups=frozenset({"pbx"}),
    backup_storage="shared",
    tags=("centralino", "pbx"),
    pool=None,
    access=ACCESS,
    template=TEMPLATE,
    task_timeout=1800,
    where={f"{PREFIX}{name}": "all.yml" for name in Variables.model_fields} | {"ansible_host": "pbx01.yml"},
)


def cluster_of(*guests: Guest) -> Cluster:
    """Return a cluster of guests."""
    endpoint = Endpoint("127.0.0.1", 8006, "a@pve!b", "secret")
    return Cluster("test", endpoint, guests, parallel_clones=4, journal=Path("journal"))


NODES = {f"pve{number}": Node(online=True, cores=32, memory=128 << 10) for number in (1, 2, 3)}
EVERY_RIGHT = {right.privilege for right in rights.needed(cluster_of(GUEST), tuple(rights.OPERATIONS))}
SHARED = Storage(frozenset({"images", "import"}), shared=True, available=True)


def machine_of(guest: Guest, **config: object) -> Machine:
    """Return the running machine that is as the guest wants, but for ``config``, as Proxmox reads it back."""
    blank = Machine(guest.vmid, guest.node, guest.name)
    disk = f"{guest.storage}:vm-{guest.vmid}-disk-0,discard=on,iothread=1,size={guest.size.disk}G"
    whole = {**plan.settings(guest, blank), "name": guest.name, "scsi0": disk, "digest": "0" * 40, **config}
    return Machine(guest.vmid, guest.node, guest.name, running=True, config=whole)


def state_of(*machines: Machine, template: bool = True) -> State:
    """Return a cluster of three nodes with the machines, and the golden template unless it is not wanted."""
    golden = Machine(
        TEMPLATE.vmid, TEMPLATE.node, TEMPLATE.name, template=True, config={"scsi0": "shared:base-9000-disk-0,size=3G"}
    )
    found = (*machines, golden) if template else machines
    return State(
        nodes=NODES,
        storages={(node, "shared"): SHARED for node in NODES},
        machines={machine.vmid: machine for machine in found},
        bridges={node: frozenset({"vmbr0"}) for node in NODES},
        rights={"/": dict.fromkeys(EVERY_RIGHT, True)},
    )
