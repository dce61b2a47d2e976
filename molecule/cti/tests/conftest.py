"""The panel that signs the tests' tokens."""

import pytest
from live_page import Panel
from testinfra.host import Host

KEYS = "/var/lib/centralino/cti/keys.json"


@pytest.fixture(scope="module")
def panel(host: Host) -> Panel:
    """Return a panel whose key the proxy knows although the panel is away."""
    made = Panel()
    with host.sudo():
        host.check_output("printf %%s %s > %s", made.key_set(), KEYS)
        host.check_output("chown centralino-cti: %s && systemctl restart centralino-cti", KEYS)
    return made
