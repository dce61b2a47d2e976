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


class AsteriskOnPaper(Asterisk):
    """Has loaded the release that was current at its last reload; ``away`` when it does not answer after that."""

    def __init__(self, store: Store) -> None:
        super().__init__(Path("/nowhere"))
        self._store = store
        self._loaded: str | None = None
        self.leaves = False
        self.away = False

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
        del text, seconds
        if self.away:
            raise AsteriskError("Asterisk does not answer")
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
