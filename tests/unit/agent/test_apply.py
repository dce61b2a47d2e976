"""What an apply leaves where Asterisk is slow or away. What it does to a real Asterisk is the role's test."""

from pathlib import Path

import pytest

from centralino.agent import apply as module
from centralino.agent import candidate
from centralino.agent.apply import Applier, NotInTimeError
from centralino.agent.store import Store
from centralino.asterisk.cli import Asterisk, AsteriskError
from centralino.asterisk.objects import Objects
from centralino.contract.snapshot import Device, Extension, Snapshot, Tenant

SECRET = "Pr1vat3" * 4


def snapshot(endpoint: str) -> Snapshot:
    device = Device(endpoint=endpoint, secret=SECRET)
    extension = Extension(number="101", name="Anna", devices=(device,))
    return Snapshot(pbx="pbx01", tenants=(Tenant(id=1, name="One", extensions=(extension,)),))


ONE, TWO = snapshot("t1-aaaaaaaaaaaa"), snapshot("t1-bbbbbbbbbbbb")


class KilledError(Exception):
    """The agent ends here."""


class AsteriskOnPaper(Asterisk):
    """Has loaded the release that was current at its last reload, and keeps presence states.

    With ``leaves`` it goes ``away`` at the next; at ``dies_at`` whoever asks is killed.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(Path("/nowhere"))
        self._store = store
        self._loaded: str | None = None
        self.leaves = False
        self.away = False
        self.states: dict[str, str] = {}
        self.told: list[str] = []
        self.dies_at = ""

    def reload(self, files: tuple[str, ...]) -> None:
        self.command("")
        if files:
            self._loaded = self._store.current()
            self.away = self.leaves

    def objects(self) -> Objects:
        self.command("")
        return self._store.objects(self._loaded)

    def restart(self) -> None:
        self._loaded, self.away, self.leaves = self._store.current(), False, False

    def command(self, text: str, *, seconds: float = 0) -> str:
        del seconds
        if self.away:
            raise AsteriskError("Asterisk does not answer")
        if self.dies_at and text.startswith(self.dies_at):
            raise KilledError
        match text.split():
            case ["database", "show", family]:
                lines = (f"{f'/{family}/{name}':50}: {state:25}\n" for name, state in self.states.items())
                return "".join(lines) + f"{len(self.states)} results found.\n"
            case ["presencestate", "change", name, state]:
                self.states[name.removeprefix("CustomPresence:")] = state
                self.told.append(f"{name} {state}")
            case ["database", "del", "CustomPresence", name]:
                del self.states[name]
        return ""


class Pbx:
    """An applier with its store and its two Asterisks on paper: ``finding`` is what a trial start says."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = Store(directory)
        self.applier = Applier(self.store, directory)
        self.live = AsteriskOnPaper(self.store)
        self.slow = False
        monkeypatch.setattr(self.applier, "_live", self.live)
        monkeypatch.setattr(candidate, "finding", self._finding)
        monkeypatch.setattr(module, "_SETTLE_SECONDS", 0.1)
        monkeypatch.setattr(module, "_RETURN_SECONDS", 0.1)

    def _finding(self, *_: object, **__: object) -> str:
        if self.slow:
            raise AsteriskError(f"a trial start was not ready after 60 s (Asterisk: {SECRET})")
        return ""


@pytest.fixture
def pbx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pbx:
    made = Pbx(tmp_path, monkeypatch)
    assert made.applier.apply(ONE).outcome == "live"
    return made


def test_a_slow_trial_start_decides_nothing(pbx: Pbx) -> None:
    pbx.slow = True
    with pytest.raises(NotInTimeError, match="not ready after 60 s") as error:
        pbx.applier.apply(TWO)
    assert SECRET not in str(error.value)
    assert (pbx.store.proposed(), pbx.store.accepted(), pbx.store.swapped()) == (TWO, ONE, False)
    pbx.slow = False
    assert pbx.applier.apply(TWO).outcome == "live"


def test_a_trial_start_that_is_slow_to_the_last_is_refused(pbx: Pbx) -> None:
    pbx.slow = True
    result = pbx.applier.apply(TWO, last=True)
    assert result.outcome == "refused"
    assert "not ready after 60 s" in result.message
    assert SECRET not in result.message
    assert (pbx.store.proposed(), pbx.store.accepted()) == (None, ONE)


def test_an_asterisk_that_leaves_after_the_swap_comes_back_to_what_ran_and_is_asked_again(pbx: Pbx) -> None:
    former = pbx.store.current()
    pbx.live.leaves = True
    with pytest.raises(NotInTimeError, match="after the swap: Asterisk does not answer"):
        pbx.applier.apply(TWO)
    assert (pbx.store.proposed(), pbx.store.current()) == (TWO, former)
    with pytest.raises(AsteriskError):
        pbx.applier.apply(TWO, last=True)  # it is away still: nothing was tried
    pbx.live.restart()
    assert pbx.applier.apply(TWO).outcome == "live"
    assert (pbx.store.proposed(), pbx.store.accepted()) == (None, TWO)


def test_an_asterisk_that_leaves_to_the_last_has_what_ran_before(pbx: Pbx) -> None:
    former = pbx.store.current()
    pbx.live.leaves = True
    result = pbx.applier.apply(TWO, last=True)
    assert result.outcome == "reverted"
    assert "restart Asterisk" in result.message
    assert (pbx.store.proposed(), pbx.store.accepted(), pbx.store.current()) == (None, ONE, former)


NOBODY = Snapshot(pbx="pbx01", tenants=(Tenant(id=1, name="One"),))
WISHES = {"t1-forward-101": "xa,forward,103", "t1-dnd-101": "dnd,dnd,", "lamp": "away"}


def test_who_gets_a_number_later_does_not_get_its_former_forward(pbx: Pbx) -> None:
    pbx.live.states = dict(WISHES)
    assert pbx.applier.apply(ONE).outcome == "live"
    assert pbx.live.states == WISHES
    pbx.applier.apply(NOBODY)
    assert pbx.live.states == {"lamp": "away"}
    assert pbx.live.told == [
        "CustomPresence:t1-forward-101 available,forward,",
        "CustomPresence:t1-dnd-101 available,dnd,",
    ]


def test_who_gets_a_number_at_once_does_not_get_its_former_forward(pbx: Pbx) -> None:
    pbx.live.states = dict(WISHES)
    pbx.applier.apply(TWO)
    assert pbx.live.states == {"lamp": "away"}


@pytest.mark.parametrize("command", ["database show", "presencestate change", "database del"])
@pytest.mark.parametrize("wanted", [TWO, NOBODY])
def test_killed_while_it_ends_wishes_it_ends_them_later(pbx: Pbx, wanted: Snapshot, command: str) -> None:
    pbx.live.states = dict(WISHES)
    pbx.live.dies_at = command
    with pytest.raises(KilledError):
        pbx.applier.apply(wanted)
    pbx.live.dies_at = ""
    assert pbx.store.proposed() == wanted
    pbx.applier.apply(wanted)
    assert pbx.live.states == {"lamp": "away"}


def test_what_is_not_accepted_ends_no_wish(pbx: Pbx) -> None:
    pbx.live.states = dict(WISHES)
    pbx.slow = True
    assert pbx.applier.apply(NOBODY, last=True).outcome == "refused"
    assert pbx.live.states == WISHES
