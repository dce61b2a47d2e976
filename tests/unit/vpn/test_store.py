"""The authority's folder, with OpenVPN's and OpenSSL's own programs as judges."""

import json
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from centralino.vpn import authority, cli, config, management, profile
from centralino.vpn.errors import VpnError
from centralino.vpn.store import Store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a configuration whose folder is empty."""
    (tmp_path / "state").mkdir()
    (tmp_path / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\ninternal\n-----END CERTIFICATE-----\n")
    written = tmp_path / "vpn.toml"
    written.write_text(
        f'server = "pbx01"\nserver_ca = "{tmp_path}/ca.crt"\nremote = "vpn.example.com"\n'
        f'folder = "{tmp_path}/state"\nmanagement = "{tmp_path}/none.sock"\nprofile_days = 825\ncrl_days = 30\n'
    )
    return written


@pytest.fixture
def store(file: Path) -> Store:
    """Return a folder with a new authority."""
    new = Store(config.load(file))
    assert new.prepare()
    return new


def run(file: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the command and return its exit code."""
    monkeypatch.setattr("sys.argv", ["centralino-vpn", "--config", str(file), *words])
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def verdict(folder: Path, certificate: str) -> str:
    """Return what OpenSSL says of a client's certificate, the revocation list considered."""
    (folder / "client.crt").write_text(certificate)
    options = ["-crl_check", "-CRLfile", "state/crl.pem", "-CAfile", "state/authority.crt", "-purpose", "sslclient"]
    told = subprocess.run(
        ["openssl", "verify", *options, "client.crt"], cwd=folder, capture_output=True, text=True, check=False
    )
    return told.stdout + told.stderr


def test_a_second_preparation_changes_nothing(store: Store, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in (tmp_path / "state").iterdir()}
    assert not store.prepare()
    assert {path.name: path.read_bytes() for path in (tmp_path / "state").iterdir()} == before


def test_a_certificate_is_good_until_it_is_revoked(store: Store, tmp_path: Path) -> None:
    anna, bruno = store.add("anna"), store.add("bruno")
    assert "client.crt: OK" in verdict(tmp_path, anna.certificate)
    store.revoke("anna")
    assert "certificate revoked" in verdict(tmp_path, anna.certificate)
    assert "client.crt: OK" in verdict(tmp_path, bruno.certificate)


def test_a_name_is_free_again_once_it_is_revoked(store: Store, tmp_path: Path) -> None:
    first = store.add("anna")
    with pytest.raises(VpnError, match="there is one of this name"):
        store.add("anna")
    store.revoke("anna")
    second = store.add("anna")
    assert "certificate revoked" in verdict(tmp_path, first.certificate)
    assert "client.crt: OK" in verdict(tmp_path, second.certificate)
    store.revoke("anna")
    assert "certificate revoked" in verdict(tmp_path, second.certificate)


def test_keys_are_for_their_owner_and_a_clients_is_not_kept(store: Store, tmp_path: Path) -> None:
    anna = store.add("anna")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()}
    assert (modes["authority.key"], modes["profiles.json"], modes["crl.pem"]) == (0o600, 0o600, 0o640)
    secret = anna.key.splitlines()[1].encode()
    assert all(secret not in path.read_bytes() for path in (tmp_path / "state").iterdir())


def test_each_client_has_a_tls_crypt_key_of_its_own(store: Store) -> None:
    assert store.add("anna").tls_crypt_v2 != store.add("bruno").tls_crypt_v2


def test_a_profile_ends_with_its_authority_at_the_latest() -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    signer = authority.new_authority("short", now, 10)
    certificate, _ = authority.issue(signer, "anna", now, 825)
    assert certificate.not_valid_after_utc == now + timedelta(days=10)


@pytest.mark.parametrize("name", ["", "Anna", "../anna", "a b", "-anna", "anna\n", "x" * 64, "anna;kill"])
def test_a_name_is_a_plain_word(store: Store, tmp_path: Path, name: str) -> None:
    before = (tmp_path / "state" / "crl.pem").read_bytes()
    with pytest.raises(VpnError, match="take a name of small letters"):
        store.add(name)
    assert store.profiles() == []
    assert (tmp_path / "state" / "crl.pem").read_bytes() == before


def put_list_of(store_folder: Path, age: timedelta) -> None:
    """Replace the revocation list by one of 30 days that is so old."""
    key = load_pem_private_key((store_folder / "authority.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    certificate = x509.load_pem_x509_certificate((store_folder / "authority.crt").read_bytes())
    made = datetime.now(UTC) - age
    past = authority.revocation_list(authority.Authority(certificate, key), [], made, 30)
    (store_folder / "crl.pem").write_bytes(past)


@pytest.mark.parametrize(("days_ago", "renewed"), [(0, False), (14, False), (16, True), (100, True)])
def test_the_revocation_list_is_renewed_once_half_of_its_time_is_over(
    store: Store, tmp_path: Path, days_ago: int, *, renewed: bool
) -> None:
    revoked = store.add("anna")
    store.revoke("anna")
    put_list_of(tmp_path / "state", timedelta(days=days_ago))
    assert store.refresh() is renewed
    if renewed:
        assert "certificate revoked" in verdict(tmp_path, revoked.certificate)
        assert store.crl_ends() > datetime.now(UTC) + timedelta(days=29)


@pytest.mark.parametrize("hours_ahead", [2, 400])
def test_a_list_that_was_made_while_the_clock_was_ahead_is_made_anew(
    store: Store, tmp_path: Path, hours_ahead: int
) -> None:
    client = store.add("anna")
    put_list_of(tmp_path / "state", timedelta(hours=-hours_ahead))
    assert "not yet valid" in verdict(tmp_path, client.certificate)
    assert store.refresh()
    assert verdict(tmp_path, client.certificate) == "client.crt: OK\n"
    assert not store.refresh()


def test_a_list_of_a_longer_time_than_is_wanted_now_is_made_anew(file: Path, store: Store) -> None:
    file.write_text(file.read_text().replace("crl_days = 30", "crl_days = 7"))
    assert Store(config.load(file)).refresh()
    assert store.crl_ends() <= datetime.now(UTC) + timedelta(days=7)


@pytest.mark.parametrize("damage", ["", "no list"])
def test_a_damaged_revocation_list_is_made_anew(store: Store, tmp_path: Path, damage: str) -> None:
    (tmp_path / "state" / "crl.pem").write_text(damage)
    assert store.refresh()


@pytest.mark.parametrize(
    ("days_ago", "words"),
    [(100, "is past its date"), (20, "and cannot be renewed")],
)
def test_a_list_that_cannot_be_renewed_is_told_with_the_remedy(
    store: Store, tmp_path: Path, days_ago: int, words: str
) -> None:
    put_list_of(tmp_path / "state", timedelta(days=days_ago))
    (tmp_path / "state" / "authority.key").unlink()
    with pytest.raises(VpnError, match=words) as told:
        store.refresh()
    assert "put it back from a backup" in str(told.value)


def test_half_an_authority_is_never_replaced(store: Store, tmp_path: Path) -> None:
    certificate = (tmp_path / "state" / "authority.crt").read_bytes()
    (tmp_path / "state" / "authority.key").unlink()
    with pytest.raises(VpnError, match="put it back from a backup"):
        store.prepare()
    assert (tmp_path / "state" / "authority.crt").read_bytes() == certificate


def test_a_key_that_is_not_the_authoritys_is_refused(store: Store, tmp_path: Path) -> None:
    other = authority.new_authority("other", datetime.now(UTC), 10)
    (tmp_path / "state" / "authority.key").write_bytes(authority.key_as_pem(other.key))
    with pytest.raises(VpnError, match="is not the key of"):
        store.add("anna")


def test_a_profile_holds_everything(file: Path, store: Store) -> None:
    text = profile.text(config.load(file), store.add("anna"))
    for line in ("remote vpn.example.com 1194", "verify-x509-name pbx01 name", "remote-cert-tls server"):
        assert f"\n{line}\n" in text
    for part in ("ca", "cert", "key", "tls-crypt-v2"):
        assert f"<{part}>\n-----BEGIN " in text
        assert f"-----\n</{part}>\n" in text


def test_the_command_says_what_there_is(
    file: Path, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store.add("anna")
    store.add("bruno")
    assert run(file, monkeypatch, "revoke", "anna") == 0
    assert "the VPN does not run, so there was no session to end" in capsys.readouterr().out
    assert run(file, monkeypatch, "list", "--json") == 0
    states = {row["name"]: row["state"].split()[0] for row in json.loads(capsys.readouterr().out)}
    assert states == {"anna": "revoked", "bruno": "in"}


def test_a_session_that_could_not_be_ended_is_ended_by_revoking_once_more(
    file: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """OpenVPN speaks with one at a time: while another waits for somebody's handshake, it answers nobody."""
    store.add("anna")
    monkeypatch.setattr(management, "_ANSWER_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(tmp_path / "none.sock"))
        busy.listen()
        assert run(file, monkeypatch, "revoke", "anna") == 1
        told = capsys.readouterr().err
        assert told.startswith("error: profile anna: revoked, but its session may go on; then revoke it once more: ")
    (tmp_path / "none.sock").unlink()
    before = store.profiles()
    assert run(file, monkeypatch, "revoke", "anna") == 0
    assert store.profiles() == before
    assert run(file, monkeypatch, "revoke", "bruno") == 1
    assert "there is none in force" in capsys.readouterr().err


def test_the_command_puts_a_profile_into_a_new_file_alone(
    file: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "anna.ovpn"
    assert run(file, monkeypatch, "add", "anna", "--output", str(target)) == 0
    assert target.stat().st_mode & 0o777 == 0o600
    assert run(file, monkeypatch, "add", "bruno", "--output", str(target)) == 1
    assert "name a new file" in capsys.readouterr().err
    assert [made.name for made in store.profiles()] == ["anna"]


def test_a_profile_that_cannot_be_written_is_not_in_force(file: Path, store: Store) -> None:
    """Its key is lost; what of it may lie somewhere lets nobody in, and its name is free."""
    python = [sys.executable, "-c", "from centralino.vpn.cli import main; main()"]
    command = [*python, "--config", str(file), "add", "anna"]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: standard output: cannot be written (No space left on device): make room")
    assert ended.stderr.count("\n") == 1
    assert [made.revoked is not None for made in store.profiles()] == [True]
    store.add("anna")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x", "is no TOML"),
        ('server = "pbx01"', "remote: missing: add it, or run role openvpn"),
        ('server = "pbx01"\nsorver = 1', "sorver: unknown key"),
    ],
)
def test_a_bad_configuration_is_told_by_sentences(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
    sentence: str,
) -> None:
    file.write_text(text)
    assert run(file, monkeypatch, "list") == 1
    assert sentence in capsys.readouterr().err
