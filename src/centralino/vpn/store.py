"""The authority's folder: its key and certificate, the list of profiles, the revocation list, OpenVPN's own server key.

Clients' private keys are not kept: a profile is handed out once. The folder belongs to root and to OpenVPN's group
(setgid), so what is written here is readable there, but for the authority's key.
"""

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import AwareDatetime, StringConstraints, TypeAdapter, ValidationError

from centralino.contract.model import Model
from centralino.vpn import authority
from centralino.vpn.authority import Authority, Revoked
from centralino.vpn.config import Config
from centralino.vpn.errors import VpnError
from centralino.vpn.profile import Credentials

OPENVPN = "/usr/sbin/openvpn"
AUTHORITY_DAYS = 7300
NAME = r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$"
"""A profile's name is its certificate's common name, and a word to OpenVPN's management interface."""

Name = Annotated[str, StringConstraints(pattern=NAME)]


class Profile(Model):
    """A profile that was made; it may have been revoked, and its name given to another since."""

    name: Name
    serial: int
    made: AwareDatetime
    ends: AwareDatetime
    revoked: AwareDatetime | None = None


_PROFILES = TypeAdapter(list[Profile])


class Store:
    """The folder's content. Methods that change something hold its lock, so two people may work at once."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._folder = config.folder
        self._key = self._folder / "authority.key"
        self._certificate = self._folder / "authority.crt"
        self._profiles = self._folder / "profiles.json"
        self._crl = self._folder / "crl.pem"
        self._tls_crypt = self._folder / "tls-crypt-v2.key"

    def prepare(self) -> bool:
        """Make what is missing and renew the revocation list where it is due. Returns whether anything changed."""
        with self._locked():
            changed = False
            if not self._certificate.exists() and not self._key.exists():
                new = authority.new_authority(f"{self._config.server} VPN CA", _now(), AUTHORITY_DAYS)
                self._write(self._key, authority.key_as_pem(new.key), secret=True)
                self._write(self._certificate, authority.certificate_as_pem(new.certificate))
                changed = True
            self._check_authority()
            if not self._tls_crypt.exists():
                self._write(self._tls_crypt, _openvpn("--genkey", "tls-crypt-v2-server").encode())
                changed = True
            return self._refresh() or changed

    def refresh(self) -> bool:
        """Renew the revocation list where half of its time is over, or more is left than one has now.

        The latter is one of a longer ``crl_days``, or of a clock that was ahead: a list that begins in the future, by
        which OpenVPN lets nobody in. Returns whether it was renewed.
        """
        with self._locked():
            return self._refresh()

    def add(self, name: str) -> Credentials:
        """Make a profile. Raises :class:`VpnError` for a name that is malformed or in use."""
        with self._locked():
            profiles = self.profiles()
            if any(profile.name == name for profile in _in_force(profiles)):
                raise VpnError(f"profile {name}: there is one of this name: revoke it first, or take another name")
            signer = self._authority()
            now = _now()
            try:
                profile = Profile(name=name, serial=1, made=now, ends=now)
            except ValidationError:
                raise VpnError(f"profile {name!r}: take a name of small letters, digits, - and .") from None
            certificate, key = authority.issue(signer, name, now, self._config.profile_days)
            ends = certificate.not_valid_after_utc
            server_ca = _read(self._config.server_ca, "run role pki on this guest").decode()
            tls_crypt = _openvpn("--tls-crypt-v2", str(self._tls_crypt), "--genkey", "tls-crypt-v2-client")
            made = profile.model_copy(update={"serial": certificate.serial_number, "ends": ends})
            self._save([*profiles, made])
        return Credentials(
            name=name,
            ends=ends,
            certificate=authority.certificate_as_pem(certificate).decode(),
            key=key.decode(),
            tls_crypt_v2=tls_crypt,
            server_ca=server_ca,
        )

    def revoke(self, name: str) -> None:
        """Take a profile back: no new connection is let in. One that was taken back before stays so.

        Raises :class:`VpnError` where there never was one, or it has ended.
        """
        with self._locked():
            profiles = self.profiles()
            if not any(profile.name == name for profile in _in_force(profiles)):
                if any(profile.name == name and profile.revoked for profile in profiles):
                    return
                raise VpnError(f"profile {name}: there is none in force: see `centralino-vpn list`")
            signer = self._authority()
            now = _now()
            taken_back = [
                profile.model_copy(update={"revoked": now}) if profile.name == name and not profile.revoked else profile
                for profile in profiles
            ]
            # The list first: a run that ends between the two leaves a profile that is refused and can be revoked again.
            self._write_crl(signer, taken_back)
            self._save(taken_back)

    def profiles(self) -> list[Profile]:
        """Return all profiles, oldest first, those that are no longer in force too."""
        if not self._profiles.exists():
            return []
        content = _read(self._profiles, "try again with sudo")
        try:
            return _PROFILES.validate_json(content)
        except ValidationError as error:
            raise VpnError(
                f"{self._profiles}: is damaged ({error.errors()[0]['msg']}): restore it from a backup"
            ) from None

    def crl_ends(self) -> datetime:
        """Return when the revocation list ends."""
        remedy = "put it back from a backup, or run `centralino-vpn init`"
        try:
            ends = x509.load_pem_x509_crl(_read(self._crl, remedy)).next_update_utc
        except ValueError:
            ends = None
        if ends is None:
            raise VpnError(f"{self._crl}: is no revocation list: {remedy}")
        return ends

    def _refresh(self) -> bool:
        now = _now()
        try:
            ends: datetime | None = self.crl_ends()
        except VpnError:
            ends = None
        whole = timedelta(days=self._config.crl_days)
        if ends and whole / 2 < ends - now <= whole:
            return False
        try:
            self._write_crl(self._authority(), self.profiles())
        except VpnError as error:
            if ends and ends > now:
                raise VpnError(f"{self._crl} ends on {ends:%Y-%m-%d} and cannot be renewed: {error}") from None
            past = f"is past its date ({ends:%Y-%m-%d})" if ends else "is missing or damaged"
            raise VpnError(f"{self._crl} {past}, so nobody could connect, and cannot be renewed: {error}") from None
        return True

    def _write_crl(self, signer: Authority, profiles: list[Profile]) -> None:
        revoked = [Revoked(profile.serial, profile.revoked) for profile in profiles if profile.revoked]
        self._write(self._crl, authority.revocation_list(signer, revoked, _now(), self._config.crl_days))

    def _check_authority(self) -> None:
        certificate = self._authority().certificate
        if certificate.not_valid_after_utc <= _now():
            ended = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
            raise VpnError(
                f"{self._certificate}: ended on {ended}: move what {self._folder} holds away and run role openvpn; "
                "every profile has to be made anew"
            )

    def _authority(self) -> Authority:
        remedy = f"put it back from a backup; without it, move {self._folder} away and make every profile anew"
        try:
            certificate = x509.load_pem_x509_certificate(_read(self._certificate, remedy))
            key = serialization.load_pem_private_key(_read(self._key, remedy), password=None)
        except ValueError:
            raise VpnError(f"{self._certificate} or {self._key}: is damaged: {remedy}") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise VpnError(f"{self._key}: is not the key of {self._certificate}: {remedy}")
        return Authority(certificate, key)

    def _save(self, profiles: list[Profile]) -> None:
        self._write(self._profiles, _PROFILES.dump_json(profiles, indent=1), secret=True)

    def _write(self, path: Path, content: bytes, *, secret: bool = False) -> None:
        """Replace a file as a whole: OpenVPN may read it at any moment."""
        new = path.with_name(f".{path.name}.new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), 0o600 if secret else 0o640)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with (self._folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            where = error.filename or self._folder
            raise VpnError(
                f"{where}: cannot be used ({error.strerror}): try again with sudo, or run role openvpn"
            ) from None


def _in_force(profiles: list[Profile]) -> list[Profile]:
    now = _now()
    return [profile for profile in profiles if not profile.revoked and profile.ends > now]


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _read(path: Path, remedy: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise VpnError(f"{path}: cannot be read ({error.strerror}): {remedy}") from None


def _openvpn(*arguments: str) -> str:
    """Run OpenVPN's own generator of keys and return the key."""
    try:
        made = subprocess.run([OPENVPN, *arguments], capture_output=True, text=True, check=True)  # noqa: S603 - its own
    except FileNotFoundError:
        raise VpnError(f"{OPENVPN}: is not there: run role openvpn on this guest") from None
    except subprocess.CalledProcessError as error:
        raise VpnError(
            f"{OPENVPN}: made no key ({error.stdout.strip()[-200:]}): run role openvpn on this guest"
        ) from None
    return made.stdout
