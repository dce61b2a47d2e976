"""Where guests are whose addresses a DHCP server chose: their agents tell the cluster, and the cluster us."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from proxmox import calls, inventory, reach, reader
from proxmox.api import Api
from proxmox.desired import Guest
from proxmox.errors import ProvisionerError, RefusedError
from proxmox.ssh import NotYetError

_AT_ONCE: Final = 16


@dataclass(frozen=True)
class Answer:
    """The address of a guest, or why there is none."""

    address: str = ""
    why: str = ""


def of_guests(hosts: str) -> dict[str, Answer]:
    """Return name → address of each guest of an inventory that has its address by DHCP.

    One list for where they are and whether they run, and one call for each that runs; none where no guest has
    ``proxmox_dhcp``, and none for the provisioner's own look at an inventory, which asks when it needs to. Raises
    :class:`ProvisionerError`.
    """
    if inventory.is_loading():
        return {}
    cluster = reader.read(inventory.load(hosts))
    guests = [guest for guest in cluster.guests if guest.dhcp]
    if not guests:
        return {}
    api = Api(cluster.endpoint)
    listed = {int(entry["vmid"]): entry for entry in api.send(calls.resources()) if entry.get("type") == "qemu"}

    def ask(guest: Guest) -> Answer:
        entry = listed.get(guest.vmid)
        if entry is None:
            return Answer(why=f"{guest.vmid} does not exist on the cluster")
        if entry.get("name", guest.name) != guest.name:
            return Answer(why=f"{guest.vmid} is the machine {entry['name']}")
        try:
            return Answer(str(reach.located(api, guest, str(entry["node"])).address))
        except NotYetError as not_yet:
            return Answer(why=str(not_yet))
        except RefusedError as error:
            return Answer(why=error.reason)
        except ProvisionerError as error:
            return Answer(why=error.sentences[0])

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return dict(zip((guest.name for guest in guests), pool.map(ask, guests), strict=True))
