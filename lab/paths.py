"""Where the lab keeps things: its state in the checkout, what is slow to make in the user's cache folder."""

import os
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Paths:
    """The lab's folders. Nothing outside of them and podman's own storage is written."""

    state: Path
    """State of this checkout's lab: pid files, certificates, token, log. Removed by ``clean``."""
    cache: Path
    """What outlives ``clean``: the image tars, the APT cache, the signed Asterisk repository."""

    @classmethod
    def default(cls) -> "Paths":
        """Take the folders that ``CENTRALINO_LAB_STATE`` and ``XDG_CACHE_HOME`` name, or the usual ones."""
        state = os.environ.get("CENTRALINO_LAB_STATE")
        cache = os.environ.get("XDG_CACHE_HOME")
        return cls(
            state=Path(state).resolve() if state else CHECKOUT / ".lab",
            cache=(Path(cache) if cache else Path.home() / ".cache") / "centralino",
        )

    @property
    def seeds(self) -> Path:
        """One folder a container, mounted read-only into it: what cloud-init would read from its drive."""
        return self.state / "seeds"

    @property
    def proxmox(self) -> Path:
        """State of the Proxmox stand-in: its database, certificates, token and log."""
        return self.state / "proxmox"

    @property
    def apt_cache(self) -> Path:
        """Packages that the mirror has fetched."""
        return self.cache / "apt"

    @property
    def repository(self) -> Path:
        """The signed APT repository of rebuilt packages, served by the mirror as ``/asterisk/``."""
        return self.cache / "asterisk"

    def make(self) -> None:
        """Create the folders that every command needs."""
        for folder in (self.state, self.seeds, self.cache, self.apt_cache, self.repository):
            folder.mkdir(parents=True, exist_ok=True)
