"""Every request that the provisioner can send, held against the official API schemas of Proxmox VE 8.4 and 9.1.

The schemas are facts of the API (methods, paths, parameters, types, patterns): 9.1's are the lab's, 8.4's lie beside
this file, cut to the paths that the provisioner uses.
"""

import ast
import dataclasses
import gzip
import inspect
import json
from pathlib import Path

import pytest

from lab.proxmox import auth, schema
from lab.proxmox.errors import ApiError, ParameterError
from lab.proxmox.state import Cluster, Grant
from proxmox import backups, calls, plan, schedule, values
from proxmox.calls import Call
from proxmox.desired import Guest
from proxmox.state import Machine
from tests.unit.proxmox.samples import GUEST, cluster_of, machine_of

SCHEMAS = {
    "8.4": schema.Schema(json.loads(gzip.decompress((Path(__file__).parent / "pve-api-8.4.json.gz").read_bytes()))),
    "9.1": schema.load(),
}
UPID = "UPID:pve1:00001A2B:0003C4D5:6B027507:qmclone:9000:automation@pve!centralino:"
UUID = "2d0fc37a-2a9b-4b0e-b8a1-000000000000"
EVERYTHING = dataclasses.replace(
    GUEST,
    node="pve2",
    vlan=42,
    pool="telephony",
    cpu="host",
    template=dataclasses.replace(GUEST.template, pool="telephony", image_checksum=f"sha512:{'0' * 128}"),
)
"""A guest that uses every variable that shows in a request."""


def of_plans(guest: Guest) -> list[Call]:
    """Return what the plans for a guest and its template send: made anew, and changed in every value."""
    other = Machine(
        guest.vmid,
        "pve3",
        guest.name,
        config={"scsi0": "shared:vm-1-disk-0,size=3G", "digest": "0" * 40, "net0": "e1000,bridge=b,tag=9,firewall=1"},
    )
    half_made = Machine(guest.template.vmid, "pve1", guest.template.name)
    steps = [
        *plan.template_steps(guest.template, None, has_image=False),
        *plan.template_steps(guest.template, half_made, has_image=True),
        *plan.guest_steps(guest, None),
        *plan.guest_steps(guest, other),
        *plan.guest_steps(guest, dataclasses.replace(machine_of(guest), running=False)),
        *plan.guest_steps(guest, dataclasses.replace(machine_of(guest), node="pve3"), move=True),
    ]
    return [step.call for step in steps if step.call]


READS = [
    calls.version(),
    calls.resources(),
    calls.cluster_status(),
    calls.permissions(),
    calls.ha_resources(),
    calls.content("pve1", "shared", "backup"),
    calls.replication_jobs(),
    calls.backup_jobs(),
    calls.moments("mon..fri 22:00"),
    calls.replication_state("pve1"),
    calls.content("pve1", "shared", "import"),
    calls.bridges("pve1"),
    calls.config("pve1", 101),
    calls.status("pve1", 101),
    calls.task("pve1", UPID),
    calls.tasks(),
    calls.interfaces("pve1", 101),
    calls.certificates("pve1"),
]
ARCHIVE = backups.Archive("shared:backup/vzdump-qemu-101-2026_11_22-07_40_00.vma.zst", 101, 0.0, 1, "pve1")
REMOTE = values.remote("192.0.2.1", 8006, f"automation@pve!centralino={UUID}", ":".join(["A0"] * 32))
SCHEDULED = dataclasses.replace(
    cluster_of(GUEST), backup_schedule="mon..fri 22:00", backup_retention="keep-daily=7,keep-weekly=4"
)
NO_JOB: list[dict[str, object]] = []
ANOTHER_JOB: list[dict[str, object]] = [{"id": "centralino_test_shared", "all": 1}, {"id": "centralino_test_old"}]
"""One that differs in everything, and one that is not wanted any more."""
WRITES = [
    calls.shutdown("pve1", 101, 120),
    calls.destroy("pve1", 101),
    calls.leave_ha(101),
    calls.join_ha(101, "started"),
    calls.set_ha(101, "disabled"),
    calls.stop("pve1", 101),
    calls.remote_migrate("pve1", 101, REMOTE, 201, {"target-storage": "shared", "target-bridge": "vmbr0", "online": 1}),
    calls.vzdump("pve1", 101, "shared"),
    *(step.call for there in (NO_JOB, ANOTHER_JOB) for step in schedule.differences(SCHEDULED, there)),
    calls.create("pve1", 201, backups.restoration(GUEST, ARCHIVE, unique=True) | {"name": "drill-pbx01"}),
]
BY_RELEASE = {
    "8.4": [
        calls.group_ha("centralino-101", "pve2"),
        calls.regroup_ha("centralino-101", "pve3"),
        calls.join_ha(101, "started", group="centralino-101"),
        calls.set_ha(101, "started", group="centralino-101"),
        calls.ha_groups(),
    ],
    "9.1": [
        calls.pin_ha("centralino-101", 101, "pve2"),
        calls.repin_ha("centralino-101", 101, "pve3"),
        calls.ha_rules(),
    ],
}
"""What only one of the two knows: HA groups became rules in 9.0."""
ALL = [*READS, *WRITES, *of_plans(GUEST), *of_plans(EVERYTHING)]


@pytest.mark.parametrize("release", SCHEMAS)
@pytest.mark.parametrize("call", ALL, ids=str)
def test_fits_the_schema(call: Call, release: str) -> None:
    method, variables = SCHEMAS[release].find(call.method, call.url)
    assert method.path == call.path
    schema.check(method, {**call.data, **variables})


@pytest.mark.parametrize("release", SCHEMAS)
def test_what_is_sent_to_one_release_alone_fits_its_schema(release: str) -> None:
    for call in BY_RELEASE[release]:
        test_fits_the_schema(call, release)


@pytest.mark.parametrize("release", SCHEMAS)
def test_the_documented_roles_may_send_all_of_it(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the schema's own permissions, which the stand-in has no say in; VM.Monitor was split up in 9.0."""
    if release == "8.4":
        role = auth.PRIVILEGES[auth.ROLE] - {"VM.GuestAgent.Audit"} | {"VM.Monitor"}
        monkeypatch.setitem(auth.PRIVILEGES, auth.ROLE, role)
    roles = (auth.ROLE, auth.ARRIVALS, auth.SCHEDULES)
    cluster = Cluster(grants=[Grant("/", who, role) for who in (auth.USER, auth.TOKEN) for role in roles])
    for call in (*ALL, *BY_RELEASE[release]):
        method, variables = SCHEMAS[release].find(call.method, call.url)
        auth.authorise(cluster, auth.Caller(auth.TOKEN), method, {**call.data, **variables})


def test_what_proxmox_has_no_call_for() -> None:
    """A release that has one for maintenance, or takes VM.Monitor again, is one to look at anew."""
    api = json.loads(gzip.decompress(schema.FACTS.read_bytes()))
    assert [path for path in api if "maintenance" in path] == []
    assert "VM.Monitor" not in json.dumps(api)


def test_every_kind_of_request_was_checked() -> None:
    """A new function in ``calls`` must be among those above."""
    built = {(call.method, call.path) for call in (*ALL, *BY_RELEASE["8.4"], *BY_RELEASE["9.1"])}
    functions = [
        function
        for _, function in inspect.getmembers(calls, inspect.isfunction)
        if function.__module__ == calls.__name__
    ]
    written = {
        (str(node.args[0].value), str(node.args[1].value))
        for function in functions
        for node in ast.walk(ast.parse(inspect.getsource(function)))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Call"
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[1], ast.Constant)
    }
    assert len(written) == len(functions)
    assert built == written


def test_requests_are_made_in_one_place() -> None:
    """Nothing but ``calls`` builds a request, so nothing goes unchecked."""
    folder = Path(inspect.getfile(calls)).parent
    users = {
        file.name
        for file in folder.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Call"
    }
    assert users == {"calls.py"}


def test_the_schema_would_refuse() -> None:
    """The check itself is no rubber stamp."""
    broken = calls.configure("pve1", 101, {"onboot": "yes", "sshkeys": "ssh-ed25519 not encoded", "memmory": 1})
    method, variables = SCHEMAS["8.4"].find(broken.method, broken.url)
    with pytest.raises(ParameterError) as refused:
        schema.check(method, {**broken.data, **variables})
    assert set(refused.value.errors or ()) == {"onboot", "sshkeys", "memmory"}
    with pytest.raises(ApiError):
        SCHEMAS["8.4"].find("POST", "/nodes/pve1/qemu/101/rewind")
