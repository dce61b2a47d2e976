"""What the panel's tests share: a program that shows one of the guest's certificates."""

import os
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from testinfra.host import Host


@pytest.fixture(scope="session")
def authority() -> Path:
    """Return the scenario's authority, as a file with its certificate."""
    return Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "pki", "ca.crt")


@pytest.fixture(scope="session")
def anonymous(authority: Path) -> ssl.SSLContext:
    """Return a context that trusts the authority and shows nothing."""
    return ssl.create_default_context(cafile=authority)


@pytest.fixture(scope="module")
def showing(
    host: Host, authority: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], ssl.SSLContext]:
    """Return a function that makes a context which shows a certificate, by its path and its key's on the guest."""

    def make(certificate: str, key: str) -> ssl.SSLContext:
        folder = tmp_path_factory.mktemp("shown")
        for name, path in (("certificate", certificate), ("key", key)):
            (folder / name).write_text(host.file(path).content_string)
        tls = ssl.create_default_context(cafile=authority)
        tls.load_cert_chain(folder / "certificate", folder / "key")
        return tls

    return make
