"""The running lab as a person meets it: its guests, its phones and its panel in a real browser.

The end-to-end tests and the benchmarks share these fixtures; tests that need no lab pay nothing for them.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from lab import host
from lab.cluster import Cluster
from lab.paths import CHECKOUT, Paths
from lab.phones.phone import Account, Phone
from lab.podman import Podman

CHROMIUM = "/usr/bin/chromium"
QUIET = [
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]
"""Keeps Chromium from looking for its maker's servers."""

LogIn = Callable[[str], Page]
MakePhone = Callable[[str, Account], Phone]


@pytest.fixture(scope="session")
def inventory() -> Path:
    return CHECKOUT / "inventories" / "lab"


@pytest.fixture(scope="session")
def cluster(inventory: Path) -> Cluster:
    return Cluster(inventory)


@pytest.fixture(scope="session")
def images_folder() -> Path:
    """Where screenshots go: `make screenshots` names the documentation's folder."""
    folder = CHECKOUT / os.environ.get("CENTRALINO_SCREENSHOTS", ".build/screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def make_phone(cluster: Cluster) -> Iterator[MakePhone]:
    """Start phones, each with a name and an account; they are gone when the test ends."""
    paths = Paths.default()
    podman = Podman(host.detect(), paths)
    addresses = iter(range(100, 140))
    with ExitStack() as stack:

        def make(name: str, account: Account) -> Phone:
            address = f"198.18.0.{next(addresses)}"
            phone = Phone(
                f"e2e-{name}",
                address=address,
                pbx=cluster.address("pbx01"),
                account=account,
                podman=podman,
                paths=paths,
            )
            return stack.enter_context(phone)

        yield make


@pytest.fixture(scope="session")
def browser(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium that trusts the cluster's CA, as a tenant's computer does after its import."""
    home = tmp_path_factory.mktemp("home")
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    store = f"sql:{database}"
    subprocess.run(["certutil", "-N", "-d", store, "--empty-password"], check=True)
    trust = ["certutil", "-A", "-d", store, "-n", "lab", "-t", "C,,", "-i", cluster.access["ca"]]
    subprocess.run(trust, check=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            chromium_sandbox=os.geteuid() != 0,
            args=QUIET,
            env={**os.environ, "HOME": str(home)},
        )
        yield chromium
        chromium.close()


def wait_for_a_quiet_network(seconds: float = 10) -> None:
    """Wait until no address of this machine is tentative (RFC 4862 §5.4), as a new container's is at first.

    Chromium breaks off what it has under way when an address is added (ERR_NETWORK_CHANGED), a log-in included.
    """
    tentative = 0x40  # IFA_F_TENTATIVE in linux/if_addr.h
    addresses = Path("/proc/net/if_inet6")  # address, interface, prefix, scope, flags, name; all numbers hexadecimal
    end = time.monotonic() + seconds
    while any(int(line.split()[4], 16) & tentative for line in addresses.read_text().splitlines()):
        assert time.monotonic() < end, f"an address is tentative after {seconds:.0f} s: see `ip -6 address`"
        time.sleep(0.1)


@pytest.fixture
def log_in(cluster: Cluster, browser: Browser) -> Iterator[LogIn]:
    """Log in to the panel, each time in a browser profile of its own."""
    passwords = {who["login"]: who["password"] for who in cluster.access["logins"]}

    with ExitStack() as stack:

        def open_panel(login: str) -> Page:
            context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
            stack.callback(context.close)
            page = context.new_page()
            wait_for_a_quiet_network()
            page.goto(cluster.access["panel"])
            page.fill("input[name=username]", login)
            page.fill("input[name=password]", passwords[login])
            page.click("button[type=submit]")
            page.wait_for_selector("[data-extension]")
            return page

        yield open_panel
