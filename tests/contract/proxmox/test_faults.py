"""What a real cluster answers when a node is in trouble: proxies' own codes, tasks that hang, disks that are full.

The codes are those of the HTTP client in pveproxy (AnyEvent::HTTP, "HTTP status codes of its own"): 595 the node was
not reached, so nothing arrived; 596 it was, and then the time was over or the connection broke; 599 "Too many
redirections" where a kept connection was closed just then. After the last two the request may have been carried out.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from lab.proxmox import server
from lab.proxmox.api.backups import disk_content
from lab.proxmox.errors import ApiError, TaskError
from proxmox import cli, journal, session
from proxmox.api import Api
from tests.contract.proxmox import killable
from tests.inventory import Inventory
from tests.stand_in import StandIn
from tests.unit.proxmox.test_operations import Cli, localise

WORDS = {595: "No route to host", 596: "Connection timed out", 597: "Broken pipe", 599: "Too many redirections"}
Once = Callable[[str], None]


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Counter[str]]:
    """Give what makes the first request of each kind end in a code, carried out or not; it counts those."""
    whole, met = server.answer, Counter[str]()

    def begin(code: int, verbs: str, *, done: bool) -> Counter[str]:
        async def faulty(request: Any, *rest: Any) -> Any:
            kind = f"{request.method} {request.path}"
            first = request.method in verbs.split() and not met[kind] and "/nodes/" in kind
            met[kind] += first
            if first and not done:
                raise ApiError(code, WORDS[code])
            data = await whole(request, *rest)
            if first:
                raise ApiError(code, WORDS[code])
            return data

        monkeypatch.setattr(server, "answer", faulty)
        return met

    pause = Api.pause
    monkeypatch.setattr(Api, "pause", lambda api, seconds: pause(api, min(seconds, 0.1)))
    return begin


def made(stand_in: StandIn) -> Counter[str]:
    """Return how many tasks of each kind ended well."""
    return Counter(task.type for task in stand_in.store.cluster.tasks if task.exitstatus == "OK")


def open_requests(files: Inventory) -> tuple[journal.Request, ...]:
    return tuple(one for one in journal.read(files.secrets / "proxmox.journal") if one.end is None)


@pytest.mark.parametrize(
    ("code", "verbs", "done"),
    [
        (595, "POST PUT", False),
        (596, "POST PUT", True),
        (596, "POST PUT", False),
        (597, "POST PUT", True),
        (599, "PUT", True),
        (599, "GET", False),
        (595, "GET", False),
    ],
)
def test_an_apply_goes_on_and_makes_nothing_twice(
    quick: None,
    at_stand_in: Inventory,
    stand_in: StandIn,
    fault: Callable[..., Counter[str]],
    capsys: pytest.CaptureFixture[str],
    *,
    code: int,
    verbs: str,
    done: bool,
) -> None:
    """The first request to each address ends so, and whether it was carried out is for the cluster to show."""
    del quick
    at_stand_in.write()
    met = fault(code, verbs, done=done)
    assert cli.main(["apply", "-i", "cluster"]) == 0, capsys.readouterr().err
    assert met.total() > 3
    assert cli.main(["plan", "-i", "cluster"]) == 0
    tasks = made(stand_in)
    assert (tasks["download"], tasks["qmcreate"], tasks["qmtemplate"], tasks["qmclone"]) == (1, 1, 1, 3)
    assert set(stand_in.store.cluster.guests) == {101, 121, 131, 9000}
    assert open_requests(at_stand_in) == ()


@pytest.mark.parametrize("code", [595, 596, 599])
@pytest.mark.parametrize(
    "arguments",
    [("restore", "pbx01", "--to", "pve2"), ("failover", "pve1", "--it-is-off"), ("migrate", "pbx01", "--to", "pve2")],
)
def test_another_command_says_so_and_is_taken_up(
    ops: Cli,
    stand_in: StandIn,
    at_stand_in: Inventory,
    fault: Callable[..., Counter[str]],
    monkeypatch: pytest.MonkeyPatch,
    *,
    arguments: tuple[str, ...],
    code: int,
) -> None:
    monkeypatch.setattr("proxmox.failover.reach", lambda *_: None)
    monkeypatch.setattr("proxmox.probes.of_guest", lambda _: (lambda: None,))
    localise(stand_in, at_stand_in)
    assert ops("backup", "pbx01")[0] == 0
    if arguments[0] == "failover":
        stand_in.lose("pve1")
    before = set(stand_in.store.cluster.guests)
    met = fault(code, "POST PUT DELETE", done=code != 595)
    ended, _, wrong = ops(*arguments)
    if arguments[0] == "migrate":
        assert ended == 0, wrong
    else:
        assert (ended, f"the node does not answer ({code} {WORDS[code]})" in wrong) == (1, True), wrong
        ended, _, wrong = ops(*arguments)
        assert ended == 0, wrong
    assert met.total() >= 1
    assert set(stand_in.store.cluster.guests) == before | (set() if arguments[0] == "migrate" else {9001})
    assert open_requests(at_stand_in) == ()
    assert stand_in.machines.running[9001 if arguments[0] == "failover" else 101]


def test_a_task_that_hangs_is_told_at_its_deadline_and_waited_for_by_the_next_run(
    quick: None,
    at_stand_in: Inventory,
    stand_in: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del quick
    at_stand_in.write()
    goes_on, wait = threading.Event(), Api.wait

    async def hang(call: Any, source: Any) -> str:
        await asyncio.to_thread(goes_on.wait, 60)
        return await disk_content(call, source)

    monkeypatch.setattr("lab.proxmox.api.clone.disk_content", hang)
    with monkeypatch.context() as patch:
        patch.setattr(Api, "wait", lambda api, upid, seconds, what: wait(api, upid, min(seconds, 0.3), what))
        patch.setattr(session, "EARLIER_TASKS_SECONDS", 0.3)
        for _ in range(2):  # the run that began it, and one that finds it hanging still
            assert cli.main(["apply", "-i", "cluster", "--limit", "pbx01"]) == 1
            wrong = capsys.readouterr().err
            assert "its task on pve1 still runs after 0 s (UPID:pve1:" in wrong
            assert "look at it in the node's task list" in wrong
    (left,) = open_requests(at_stand_in)
    assert (left.text.split(" ")[2], bool(left.upid)) == ("newid=101", True)

    say = session.say

    def told(text: str) -> None:
        say(text)
        if "waiting for its task" in text:
            goes_on.set()

    monkeypatch.setattr(session, "say", told)
    assert cli.main(["apply", "-i", "cluster", "--limit", "pbx01"]) == 0
    assert goes_on.is_set()
    assert "`apply` of " in capsys.readouterr().err
    assert made(stand_in)["qmclone"] == 1
    assert (set(stand_in.store.cluster.guests), open_requests(at_stand_in)) == ({101, 9000}, ())


def test_a_task_whose_name_was_never_heard_is_waited_for_too(
    ops: Cli, stand_in: StandIn, fault: Callable[..., Counter[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The restore arrived, its answer did not, and it still works when the next run begins."""
    goes_on, say = threading.Event(), session.say

    async def hang(_: float) -> None:
        await asyncio.to_thread(goes_on.wait, 60)

    def told(text: str) -> None:
        say(text)
        if text == "waiting: a qmrestore of 9001 is still running":
            goes_on.set()

    assert ops("backup", "pbx01")[0] == 0
    monkeypatch.setattr("lab.proxmox.api.backups.asyncio", type("Slow", (), {"sleep": staticmethod(hang)}))
    monkeypatch.setattr(session, "say", told)
    fault(596, "POST", done=True)
    assert ops("restore", "pbx01")[0] == 1
    assert "lock" in stand_in.store.cluster.guests[9001].config
    code, said, wrong = ops("restore", "pbx01")
    assert (code, "made by a run that was cut off" in said) == (0, True), wrong
    assert made(stand_in)["qmrestore"] == 1
    assert ops("restore", "pbx01")[0] == 0  # an order of its own, and so a copy of its own
    assert made(stand_in)["qmrestore"] == 2


def test_a_full_disk_under_a_restore_leaves_nothing_and_the_next_run_restores(
    ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise TaskError("command 'zstd -dc' failed: write error: No space left on device")

    assert ops("backup", "pbx01")[0] == 0
    before = set(stand_in.store.cluster.guests)
    with monkeypatch.context() as patch:
        patch.setattr("lab.proxmox.api.backups._unpack", full)
        code, _, wrong = ops("restore", "pbx01")
        assert (code, "No space left on device" in wrong) == (1, True), wrong
    assert set(stand_in.store.cluster.guests) == before
    assert ops("restore", "pbx01")[0] == 0
    assert set(stand_in.store.cluster.guests) == {*before, 9001}


@pytest.mark.parametrize("room", [10, 150, 260, 330])
def test_a_full_disk_under_the_journal_is_told_and_the_next_run_goes_on(
    ops: Cli, stand_in: StandIn, at_stand_in: Inventory, room: int
) -> None:
    """The file can grow by so many bytes: the lines that a clone writes are cut off at one place after the other."""
    at_stand_in.hosts["pbx02"] = {"ansible_host": "198.18.0.12", "proxmox_node": "pve2", "proxmox_vmid": 102}
    at_stand_in.groups["pbx"].append("pbx02")
    at_stand_in.write()
    code, said = killable.run(at_stand_in.folder.parent, ["apply"], room=room)
    assert (code, "Traceback" in said) == (1, False), said
    assert "proxmox.journal: the journal cannot be written (File too large)" in said
    assert ops("apply")[0] == 0
    assert made(stand_in)["qmclone"] == 4
    assert set(stand_in.store.cluster.guests) == {101, 102, 121, 131, 9000}
    assert stand_in.machines.running[102]
    assert open_requests(at_stand_in) == ()


def test_a_storage_whose_lock_is_held_too_long_is_tried_again(
    quick: None,
    at_stand_in: Inventory,
    stand_in: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """More clones are asked for than the storage makes while it has patience; none is given up, none made twice."""
    del quick
    at_stand_in.hosts = {
        f"pbx{number}": {"ansible_host": f"198.18.0.{number}", "proxmox_node": "pve1", "proxmox_vmid": 100 + number}
        for number in range(11, 17)
    }
    at_stand_in.groups = {"pbx": list(at_stand_in.hosts)}
    at_stand_in.settings["proxmox_parallel_clones"] = 6
    monkeypatch.setattr("lab.proxmox.tasks.LOCK_PATIENCE", 0.8)
    monkeypatch.setattr("lab.proxmox.api.clone.COPY_SECONDS", 0.5)
    at_stand_in.write()
    assert cli.main(["apply", "--overcommit", "-i", "cluster"]) == 0, capsys.readouterr().err
    ends = [task.exitstatus for task in stand_in.store.cluster.tasks if task.type == "qmclone"]
    assert any("got timeout" in end for end in ends)
    assert ends.count("OK") == 6
    assert set(stand_in.store.cluster.guests) == {9000, *range(111, 117)}


def test_an_answer_that_takes_longer_than_the_librarys_patience_is_waited_for(
    ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library gives up after 5 s by default; some of a node's writes hold a lock for half a minute."""
    whole = server.answer

    async def slow(request: Any, *rest: Any) -> Any:
        if request.method == "PUT":
            await asyncio.sleep(6)
        return await whole(request, *rest)

    stand_in.store.cluster.guests[101].config["tags"] = "mine"
    monkeypatch.setattr(server, "answer", slow)
    stand_in.written()
    code, _, wrong = ops("apply")
    assert (code, stand_in.written()) == (0, ["PUT /nodes/pve1/qemu/101/config"]), wrong


def test_an_agent_that_never_answers_is_given_up_at_its_deadline(
    ops: Cli, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    async def never(*_: Any) -> str:
        await asyncio.to_thread(over.wait, 120)
        return ""

    assert ops("backup", "pbx01")[0] == 0
    before = set(stand_in.store.cluster.guests)
    ask = Api.ask
    monkeypatch.setattr(Api, "ask", lambda api, call: ask(api, call, 0.5))
    monkeypatch.setattr("proxmox.backups._DRILL_SECONDS", 1)
    monkeypatch.setattr(stand_in.machines, "ask_agent", never)
    stand_in.requests.clear()
    try:
        code, _, wrong = ops("drill", "pbx01")
    finally:
        over.set()
    assert sum("/agent/" in path for _, path in stand_in.requests) <= 2
    assert (code, "agent does not answer after 1 s" in wrong) == (1, True), wrong
    assert set(stand_in.store.cluster.guests) == before
