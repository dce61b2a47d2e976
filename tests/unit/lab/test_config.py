"""A guest's configuration and its disks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.proxmox import config, disks, sizes
from lab.proxmox.errors import ApiError, TaskError
from lab.proxmox.runtime import CLOUD_IMAGE
from lab.proxmox.state import Cluster, Guest


def guest(**values: str | int) -> Guest:
    return Guest(100, "pve1", dict(values), created=0)


def with_disk(storage: str = "local-lvm") -> tuple[Cluster, Guest]:
    cluster = Cluster()
    disks.add_import(cluster, "pve1", "local", "import", "debian-13.qcow2")
    made = guest(scsi0=f"{storage}:0,import-from=local:import/debian-13.qcow2,discard=on", ide2=f"{storage}:cloudinit")
    disks.allocate(cluster, "pve1", 100, made.config)
    cluster.guests[100] = made
    return cluster, made


@given(st.text(alphabet="abcXYZ01-_;, ", max_size=40))
def test_tags_come_back_sorted_lower_and_once(text: str) -> None:
    tags = config.normal_tags(text).split(";")
    assert tags == sorted({tag.lower() for tag in tags})
    assert config.normal_tags(";".join(tags)) == ";".join(tags)


def test_a_card_without_an_address_gets_a_new_one_each_time() -> None:
    first, second = (config.with_mac("virtio,bridge=vmbr0") for _ in range(2))
    assert first != second
    assert config.mac_of(first).startswith("BC:24:11:")
    assert first.endswith(",bridge=vmbr0")


@pytest.mark.parametrize("net", ["virtio=BC:24:11:00:00:01,bridge=vmbr0", "model=virtio,macaddr=BC:24:11:00:00:01"])
def test_a_card_with_an_address_keeps_it(net: str) -> None:
    assert config.with_mac(net) == net


def test_a_running_guest_keeps_hardware_changes_for_the_next_start() -> None:
    made = guest(cores=2, name="old")
    config.update(made, {"cores": 4, "name": "new"}, [], running=True)
    assert made.config == {"cores": 2, "name": "new"}
    assert config.with_pending(made) == {"cores": 4, "name": "new"}
    config.apply_pending(made)
    assert made.config == {"cores": 4, "name": "new"}
    assert made.pending == {}


def test_a_deleted_value_of_a_running_guest_stays_until_the_next_start() -> None:
    made = guest(ciuser="ops")
    config.update(made, {}, ["ciuser"], running=True)
    assert made.config == {"ciuser": "ops"}
    assert config.with_pending(made) == {}


def test_setting_and_deleting_one_key_is_refused() -> None:
    with pytest.raises(ApiError):
        config.update(guest(), {"cores": 4}, ["cores"], running=False)


def test_a_stale_digest_is_refused() -> None:
    made = guest(cores=2)
    config.check_digest(made, config.digest(made.config))
    with pytest.raises(ApiError, match="checksum mismatch"):
        config.check_digest(made, "0" * 40)


@pytest.mark.parametrize(
    ("ipconfig", "address"), [("ip=198.18.0.11/24,gw=198.18.0.1", "198.18.0.11"), ("ip=dhcp", ""), ("", "")]
)
def test_the_address_is_cloud_inits(ipconfig: str, address: str) -> None:
    assert config.address_of({"ipconfig0": ipconfig}) == address


@pytest.mark.parametrize(
    ("values", "disk"),
    [
        ({"scsi1": "a:1", "scsi0": "a:0", "boot": "order=scsi1;net0"}, "scsi1"),
        ({"ide2": "a:vm-100-cloudinit,media=cdrom", "scsi0": "a:0"}, "scsi0"),
        ({"ide2": "a:vm-100-cloudinit,media=cdrom"}, ""),
    ],
)
def test_the_boot_disk_is_the_orders_first_or_the_first_disk(values: dict[str, str | int | float], disk: str) -> None:
    assert config.boot_disk(values) == disk


@given(st.integers(min_value=1, max_value=2**50))
def test_sizes_read_back(size: int) -> None:
    assert sizes.parse(sizes.write(size)) == size


def test_an_imported_disk_has_the_images_content_and_size() -> None:
    cluster, made = with_disk()
    assert made.config["scsi0"] == "local-lvm:vm-100-disk-0,discard=on,size=3G"
    assert made.config["ide2"] == "local-lvm:vm-100-cloudinit,media=cdrom,size=4M"
    assert disks.find(cluster, "pve1", "local-lvm:vm-100-disk-0").image == CLOUD_IMAGE


def test_a_local_disk_does_not_exist_on_another_node() -> None:
    cluster, _ = with_disk()
    with pytest.raises(TaskError, match="does not exist"):
        disks.find(cluster, "pve2", "local-lvm:vm-100-disk-0")


def test_disks_grow_and_do_not_shrink() -> None:
    cluster, made = with_disk()
    disks.grow(cluster, made, "scsi0", "32G")
    disks.grow(cluster, made, "scsi0", "+2G")
    assert made.config["scsi0"] == "local-lvm:vm-100-disk-0,discard=on,size=34G"
    with pytest.raises(TaskError, match="shrinking disks is not supported"):
        disks.grow(cluster, made, "scsi0", "33G")
    with pytest.raises(TaskError, match="disk 'scsi1' does not exist"):
        disks.grow(cluster, made, "scsi1", "33G")


def test_a_guest_that_an_interruption_left_half_made_is_dropped() -> None:
    cluster, made = with_disk()
    made.config["lock"] = "clone"
    disks.forget_half_made(cluster)
    assert cluster.guests == {}
    assert [volume.content for volume in cluster.volumes.values()] == ["import"]


def test_a_linked_clone_hangs_on_its_base() -> None:
    cluster, base = with_disk()
    disks.make_base(cluster, base, CLOUD_IMAGE)
    assert str(base.config["scsi0"]).startswith("local-lvm:base-100-disk-0,")
    copy = Guest(101, "pve1", {}, created=0)
    disks.clone(cluster, base, copy, CLOUD_IMAGE, linked=True)
    assert [volume.vmid for volume in disks.children(cluster, base)] == [101]
    full = Guest(102, "pve1", {}, created=0)
    disks.clone(cluster, base, full, CLOUD_IMAGE, storage="shared")
    assert str(full.config["scsi0"]).startswith("shared:vm-102-disk-0,")
    assert len(disks.children(cluster, base)) == 1
