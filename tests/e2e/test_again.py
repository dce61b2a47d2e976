"""What stands is left alone: a second run of the whole site changes nothing on any guest."""

import re
import subprocess
import sys
from pathlib import Path

from lab.paths import CHECKOUT


def test_a_second_run_of_the_site_changes_nothing(inventory: Path) -> None:
    playbook = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [playbook, "-i", inventory, "playbooks/site.yml"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    recap = dict(re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", done.stdout, re.MULTILINE))
    assert recap.keys() == {"pbx01", "cti01", "web01"}
    assert set(recap.values()) == {"0"}, recap
