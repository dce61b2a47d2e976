"""testssl.sh on every port that speaks TLS."""

import json
import shlex
from collections.abc import Iterator

from lab.audit.auditor import Auditor
from lab.audit.verdict import Verdict

ABOVE_LOW = {"MEDIUM", "HIGH", "CRITICAL", "FATAL"}
INTERRUPTED = "Scan interrupted"
"""What testssl.sh says, as a warning, where it asked nothing or not all."""
PORTS = (("panel", "web", 443), ("CTI", "cti", 8777), ("SIP over TLS", "pbx", 5061))
_AMI = 5039
_OPTIONS = ("--quiet", "--color", "0", "--warnings", "batch")
_CA, _GUESTS_CA = "/tmp/ca.crt", "/etc/centralino/pki/ca.crt"  # noqa: S108 (inside the container)
_FILES = ("usr/bin/testssl", "usr/bin/hexdump", "etc/testssl")


def check(auditor: Auditor) -> Iterator[Verdict]:
    """Ask each port; AMI is asked from the only guest that reaches it."""
    hosts = auditor.cluster.hosts
    auditor.write(_CA, auditor.cluster.ssh("web01", f"cat {_GUESTS_CA}"))
    for name, group, port in PORTS:
        for guest in auditor.cluster.members(group):
            place, file = f"{guest}.{hosts[guest]['cluster_domain']}:{port}", f"/tmp/{guest}-{port}.json"  # noqa: S108
            options = [*_OPTIONS, "--add-ca", _CA, "--jsonfile", file, "--ip", auditor.cluster.address(guest)]
            auditor.run(f"testssl-{guest}-{port}.txt", "testssl", *options, place)
            yield _verdict(f"{name}, {guest}", auditor.run(f"testssl-{guest}-{port}.json", "cat", file))
    for guest in auditor.cluster.members("pbx"):
        command = (
            # It wants a program to resolve names with; told the address, it needs none.
            "ln -s /bin/true usr/bin/host; "
            "TESTSSL_INSTALL_DIR=$place/etc/testssl PATH=$PATH:$place/usr/bin bash usr/bin/testssl"
            f" {shlex.join(_OPTIONS)} --add-ca {_GUESTS_CA} --jsonfile $place/json"
            f" --ip {auditor.cluster.address(guest)} {guest}.{hosts[guest]['cluster_domain']}:{_AMI}"
            " >/dev/null 2>&1; cat json"
        )
        asks = auditor.cluster.members("cti")[0]
        yield _verdict(f"AMI, {guest}", auditor.carry(asks, _FILES, f"testssl-{guest}-{_AMI}.json", command))


def _verdict(place: str, report: str) -> Verdict:
    told = json.loads(report)
    findings = [
        f"{item['severity']} {item['id']}: {item['finding']}"
        for item in told
        if item["severity"] in ABOVE_LOW or item["finding"] == INTERRUPTED
    ]
    return Verdict("tls", place, f"{len(told)} questions, {len(findings)} above LOW", "none above LOW", findings)
