"""What stands is left alone: a second `make up` changes nothing on any guest."""

import re
import subprocess

from lab.paths import CHECKOUT


def test_a_second_make_up_changes_nothing() -> None:
    done = subprocess.run(["make", "up"], cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:]
    site = (CHECKOUT / ".build/log/up-site.log").read_text()
    recap = dict(re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", site, re.MULTILINE))
    assert recap.keys() == {"pbx01", "cti01", "web01"}
    assert set(recap.values()) == {"0"}, re.findall(r"TASK.*\n(?:.*\n)*?changed: .*", site)
