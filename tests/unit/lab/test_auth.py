"""Tokens, tickets and permissions."""

import json
import stat
import time
from pathlib import Path

import pytest

from lab.proxmox import auth, schema
from lab.proxmox.errors import ApiError
from lab.proxmox.state import Cluster, Grant


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    made = Cluster()
    auth.prepare(made, tmp_path)
    return made


def header(folder: Path) -> dict[str, str]:
    token = json.loads((folder / "token.json").read_text())
    return {"Authorization": f"PVEAPIToken={token['id']}={token['secret']}"}


def test_the_token_file_is_private_and_opens_the_api(cluster: Cluster, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "token.json").stat().st_mode) == 0o600
    assert auth.authenticate(cluster, header(tmp_path), {}, "POST").name == "automation@pve!centralino"


def test_secrets_are_made_once_and_stored_as_hashes(cluster: Cluster, tmp_path: Path) -> None:
    before = (tmp_path / "token.json").read_text()
    auth.prepare(cluster, tmp_path)
    assert (tmp_path / "token.json").read_text() == before
    assert json.loads(before)["secret"] not in cluster.secrets.values()


def test_a_lost_token_file_makes_a_new_token(cluster: Cluster, tmp_path: Path) -> None:
    old = header(tmp_path)
    (tmp_path / "token.json").unlink()
    auth.prepare(cluster, tmp_path)
    assert auth.authenticate(cluster, header(tmp_path), {}, "GET").name == auth.TOKEN
    with pytest.raises(ApiError, match="invalid token value"):
        auth.authenticate(cluster, old, {}, "GET")


@pytest.mark.parametrize(
    ("authorization", "words"),
    [
        ("", "No ticket"),
        ("Bearer x", "No ticket"),
        ("PVEAPIToken=automation@pve!centralino=00000000-0000-0000-0000-000000000000", "invalid token value"),
        ("PVEAPIToken=automation@pve!other=x", "no such token 'other'"),
        ("PVEAPIToken=root@pam=x", "invalid token value"),
    ],
)
def test_a_wrong_token_is_refused(cluster: Cluster, authorization: str, words: str) -> None:
    with pytest.raises(ApiError, match=words) as refused:
        auth.authenticate(cluster, {"Authorization": authorization}, {}, "GET")
    assert refused.value.status == 401


def test_a_ticket_reads_and_writes_only_with_its_csrf_token(cluster: Cluster, tmp_path: Path) -> None:
    root = json.loads((tmp_path / "root.json").read_text())
    answer = auth.log_in(cluster, root["username"], root["password"])
    cookies = {"PVEAuthCookie": answer["ticket"]}
    assert auth.authenticate(cluster, {}, cookies, "GET").name == "root@pam"
    with pytest.raises(ApiError, match="csrf"):
        auth.authenticate(cluster, {}, cookies, "POST")
    proof = {"CSRFPreventionToken": answer["CSRFPreventionToken"]}
    assert auth.authenticate(cluster, proof, cookies, "POST").by_ticket


@pytest.mark.parametrize("change", [lambda t: t.replace("root@pam", "evil@pam"), lambda t: t[:-1] + "0x"])
def test_a_forged_ticket_is_refused(cluster: Cluster, tmp_path: Path, change: object) -> None:
    root = json.loads((tmp_path / "root.json").read_text())
    ticket = auth.log_in(cluster, root["username"], root["password"])["ticket"]
    with pytest.raises(ApiError, match="invalid PVE ticket"):
        auth.authenticate(cluster, {}, {"PVEAuthCookie": change(ticket)}, "GET")  # type: ignore[operator]


def test_an_old_ticket_is_refused(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = json.loads((tmp_path / "root.json").read_text())
    ticket = auth.log_in(cluster, root["username"], root["password"])["ticket"]
    later = time.time() + auth.TICKET_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(ApiError, match="invalid PVE ticket"):
        auth.authenticate(cluster, {}, {"PVEAuthCookie": ticket}, "GET")


def test_a_token_has_the_intersection_of_its_own_and_its_users_rights(cluster: Cluster) -> None:
    start, _ = schema.load().find("POST", "/nodes/pve1/qemu/100/status/start")
    caller, where = auth.Caller(auth.TOKEN), {"node": "pve1", "vmid": 100}
    auth.authorise(cluster, caller, start, where)
    cluster.grants.remove(Grant("/", auth.USER, auth.ROLE))
    with pytest.raises(ApiError, match=r"Permission check failed \(/vms/100, VM.PowerMgmt\)") as refused:
        auth.authorise(cluster, caller, start, where)
    assert refused.value.status == 403


def test_an_auditor_reads_and_does_not_change(cluster: Cluster) -> None:
    api = schema.load()
    cluster.grants.append(Grant("/", "eve@pve", "PVEAuditor"))
    where = {"node": "pve1", "vmid": 100}
    auth.authorise(cluster, auth.Caller("eve@pve"), api.find("GET", "/nodes/pve1/qemu/100/config")[0], where)
    with pytest.raises(ApiError, match=r"VM\.Allocate"):
        auth.authorise(cluster, auth.Caller("eve@pve"), api.find("DELETE", "/nodes/pve1/qemu/100")[0], where)


def test_the_most_specific_grant_counts(cluster: Cluster) -> None:
    cluster.grants += [Grant("/", "eve@pve", auth.ROLE), Grant("/vms/100", "eve@pve", "PVEAuditor")]
    assert "VM.Allocate" in auth.privileges(cluster, "eve@pve", "/vms/1000")
    assert "VM.Allocate" not in auth.privileges(cluster, "eve@pve", "/vms/100")


def test_the_provisioners_role_may_do_all_that_the_stand_in_answers(cluster: Cluster) -> None:
    """One list of privileges serves the lab and a real cluster."""
    from lab.proxmox import server  # noqa: F401, PLC0415 (fills the table)
    from lab.proxmox.api.call import METHODS  # noqa: PLC0415

    api, refused = schema.load(), set()
    for verb, path in METHODS:
        method, variables = api.find(verb, path.replace("{vmid}", "100"))
        try:
            auth.authorise(cluster, auth.Caller(auth.TOKEN), method, variables)
        except ApiError:
            refused.add((verb, path))
    # a log-in is no token's, the role allocates space without managing what others stored, takes no snapshots, and lets
    # in what comes from another cluster with a role of its own alone
    assert refused == {
        ("POST", "/access/ticket"),
        ("POST", "/nodes/{node}/qemu/{vmid}/mtunnel"),
        *((verb, path) for verb, path in refused if path.endswith("/{volume}") or "/snapshot" in path),
    }
