"""The journal: what it holds after a crash, who may write it, and that a run killed anywhere is taken up."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from proxmox import calls, cli, journal
from proxmox.errors import ProvisionerError, RefusedError, TaskFailedError, UnansweredError
from tests.inventory import Inventory
from tests.stand_in import StandIn

UPID = "UPID:pve1:0001:0002:6B02:qmclone:9000:automation@pve!centralino:"
CHECKOUT = Path(__file__).parents[3]


class Cluster:
    """Answers every wait as it is told to."""

    def __init__(self, answer: Exception | None = None) -> None:
        self.waited: list[str] = []
        self._answer = answer

    def wait(self, upid: str, seconds: float, what: str) -> None:
        del seconds, what
        self.waited.append(upid)
        if self._answer:
            raise self._answer


def begin(path: Path, *, upid: str | None = UPID) -> None:
    """Write what a run leaves that is killed while it waits."""
    notes = journal.Journal(path, "apply")
    clone = calls.clone("pve1", 9000, 101, {})
    number = notes.intend(str(clone), clone.data)
    if upid:
        notes.task(number, upid)
    notes.close()


def test_a_request_stays_open_until_its_task_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    begin(path)
    (left,) = journal.Journal(path, "apply").left
    assert (left.upid, left.text) == (UPID, "POST /nodes/pve1/qemu/9000/clone newid=101")
    notes = journal.Journal(path, "apply")
    notes.ended(UPID, "OK")
    notes.close()
    assert journal.Journal(path, "apply").left == ()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "its task has ended well"),
        (TaskFailedError("clone: failed", "clone failed: disk full"), "its task failed: clone failed: disk full"),
        (RefusedError("no", 500, "no such task"), "does not know its task any more (no such task)"),
        (UnansweredError("595"), "the task's node does not answer"),
    ],
)
def test_what_was_left_open_is_found_out_once(tmp_path: Path, answer: Exception | None, said: str) -> None:
    path, told, cluster = tmp_path / "journal", list[str](), Cluster(answer)
    begin(path)
    notes = journal.Journal(path, "apply")
    journal.recover(cluster, notes, 10, told.append)
    notes.settle()
    assert cluster.waited == [UPID]
    assert said in told[-1]
    assert "`apply` of " in told[-1]
    assert journal.Journal(path, "apply").left == ()


def test_a_request_whose_answer_never_came_is_not_repeated_but_looked_up(tmp_path: Path) -> None:
    path, told, cluster = tmp_path / "journal", list[str](), Cluster()
    begin(path, upid=None)
    journal.recover(cluster, journal.Journal(path, "apply"), 10, told.append)
    assert cluster.waited == []
    assert told[0].endswith("clone newid=101: whether it arrived shows on the cluster")


@pytest.mark.parametrize("torn", range(1, 60, 7))
def test_a_line_that_a_crash_cut_off_is_skipped_and_the_next_is_whole(tmp_path: Path, torn: int) -> None:
    path = tmp_path / "journal"
    begin(path)
    whole = path.read_text()
    path.write_text(whole + json.dumps({"intend": "9-9.9", "at": 1.0, "command": "apply", "request": "POST /x"})[:torn])
    begin(path)
    assert [request.upid for request in journal.read(path)] == [UPID, UPID]


def test_a_file_that_is_no_journal_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text("something else\n")
    with pytest.raises(ProvisionerError, match=r"journal:1: this line is no entry .* moved away"):
        journal.Journal(path, "apply")


def test_a_large_journal_without_open_requests_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text('{"end": "0", "status": "OK"}\n' * 0 + "\n" * (1 << 20))
    journal.Journal(path, "apply").close()
    assert path.stat().st_size == 0


def test_two_runs_exclude_each_other_and_say_who_is_at_work(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    busy = pytest.raises(ProvisionerError, match=rf"`evacuate` of .* \(process {os.getpid()}, since .* wait")
    with journal.opened(path, "evacuate"), busy, journal.opened(path, "apply"):
        pytest.fail("two runs at once")
    with journal.opened(path, "apply"):
        pass


def test_a_journal_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = pytest.raises(ProvisionerError, match=r"file/journal: the journal cannot be written .* proxmox_journal")
    with refused, journal.opened(tmp_path / "file" / "journal", "apply"):
        pytest.fail("opened")


def test_plan_needs_no_lock_and_apply_does(at_stand_in: Inventory, capsys: pytest.CaptureFixture[str]) -> None:
    at_stand_in.write()
    with journal.opened(at_stand_in.secrets / "proxmox.journal", "evacuate"):
        assert cli.main(["plan", "-i", "cluster"]) == 2
        assert cli.main(["apply", "-i", "cluster"]) == 1
    assert "`evacuate` of" in capsys.readouterr().err


# A process of its own, because it kills itself: after its Nth line is on disk, or just before.
KILLED = """
import os, signal, sys
import proxmox.apply, proxmox.reach
from proxmox import cli, journal
proxmox.apply.reach, proxmox.reach.strangers = lambda *_: None, lambda _: []
left, before, write = int(sys.argv[1]), sys.argv[2] == "before", journal.Journal._write
def counted(self, line):
    global left
    left -= 1
    if left or not before:
        write(self, line)
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
journal.Journal._write = counted
sys.exit(cli.main(["apply", "-i", "cluster"]))
"""


@pytest.mark.parametrize(("lines", "moment"), [((2, 4, 3), "before"), ((1, 2, 3, 5), "after")])
def test_killed_again_and_again_it_still_arrives_and_makes_nothing_twice(
    at_stand_in: Inventory, stand_in: StandIn, lines: tuple[int, ...], moment: str
) -> None:
    """``kill -9`` at the Nth line of each run, N another in each: requests are cut off at every stage."""
    at_stand_in.hosts = {"pbx01": at_stand_in.hosts["pbx01"]}
    at_stand_in.groups = {"pbx": ["pbx01"]}
    at_stand_in.write()
    ends = []
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    for run in range(40):
        command = [sys.executable, "-c", KILLED, str(lines[run % len(lines)]), moment]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        ends.append(done.returncode)
        if done.returncode != -signal.SIGKILL:
            break
    assert ends[-1] == 0, done.stderr
    assert ends.count(-signal.SIGKILL) >= 3
    made = Counter(task.type for task in stand_in.store.cluster.tasks if task.exitstatus == "OK")
    assert made == {"download": 1, "qmcreate": 1, "qmtemplate": 1, "qmclone": 1, "resize": 1, "qmstart": 1}
    assert set(stand_in.store.cluster.guests) == {101, 9000}
    assert journal.Journal(at_stand_in.secrets / "proxmox.journal", "apply").left == ()
