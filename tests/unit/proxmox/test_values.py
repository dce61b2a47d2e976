"""What is read back from Proxmox is compared by meaning."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxmox import values


@pytest.mark.parametrize(
    ("key", "sent", "read"),
    [
        ("tags", "web;centralino", "centralino;web"),
        ("tags", "a,b", "b a"),
        ("net0", "virtio=aa:bb:cc:00:11:22,bridge=vmbr0", "bridge=vmbr0,virtio=AA:BB:CC:00:11:22"),
        ("net0", "virtio=AA:BB:CC:00:11:22,bridge=vmbr0", "model=virtio,macaddr=AA:BB:CC:00:11:22,bridge=vmbr0"),
        ("ipconfig0", "ip=198.18.0.11/24,gw=198.18.0.1", "gw=198.18.0.1,ip=198.18.0.11/24"),
        ("agent", "enabled=1,fstrim_cloned_disks=1", "1"),
        ("cpu", "host", "cputype=host"),
        ("memory", "4096", 4096),
        ("memory", "4096", "current=4096"),
        ("onboot", 1, "1"),
        ("onboot", 0, None),
        ("sockets", 1, None),
        ("nameserver", "198.18.0.1 198.18.0.2", "198.18.0.1,198.18.0.2"),
        ("description", "ours", "ours\n"),
        ("sshkeys", "ssh-ed25519%20AAAA%20a%0A", "ssh-ed25519%20AAAA%20a"),
        ("sshkeys", "k1%0Ak2%0A", "k2%0Ak1"),
    ],
)
def test_equal_in_meaning(key: str, sent: object, read: object) -> None:
    assert values.normal(key, sent) == values.normal(key, read)


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("tags", "a;b", "a"),
        ("net0", "virtio=AA:BB:CC:00:11:22,bridge=vmbr0", "virtio=AA:BB:CC:00:11:22,bridge=vmbr1"),
        ("net0", "virtio=AA:BB:CC:00:11:22,bridge=vmbr0", "e1000=AA:BB:CC:00:11:22,bridge=vmbr0"),
        ("agent", "1", "0"),
        ("agent", "1", None),
        ("memory", "4096", None),
        ("onboot", 1, None),
        ("sshkeys", "k1%0Ak2", "k1"),
        ("cores", 4, 8),
    ],
)
def test_different_in_meaning(key: str, one: object, other: object) -> None:
    assert values.normal(key, one) != values.normal(key, other)


@pytest.mark.parametrize(
    ("disk", "gibibytes"),
    [
        ("shared:vm-1-disk-0,size=32G", 32),
        ("l:v,discard=on,size=3072M", 3),
        ("l:v,size=1T", 1024),
        ("l:v,size=2097152K", 2),
    ],
)
def test_disk_size(disk: str, gibibytes: int) -> None:
    assert values.disk_size(disk) == gibibytes * 2**30


def test_disk_without_size() -> None:
    assert values.disk_size("shared:vm-1-disk-0") == 0


@given(st.lists(st.text(string.ascii_letters + string.digits + " +/=@é", min_size=1).filter(str.strip), min_size=1))
def test_keys_survive_the_way_there_and_back(lines: list[str]) -> None:
    encoded = values.encode_keys("\n".join(lines))
    assert not set(encoded) & set(" +/\n")
    assert values.keys(encoded) == tuple(sorted(line.strip() for line in lines))


CARDS = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["virtio", "e1000", "vmxnet3"]),
        "macaddr": st.from_regex(r"([0-9A-F]{2}:){5}[0-9A-F]{2}", fullmatch=True),
        "bridge": st.from_regex(r"vmbr[0-9]", fullmatch=True),
    },
    optional={"tag": st.integers(1, 4094).map(str), "firewall": st.sampled_from("01"), "mtu": st.just("1500")},
)


@given(CARDS)
def test_cards_survive_the_way_there_and_back(card: dict[str, str]) -> None:
    assert values.card(values.card_string(card)) == card
