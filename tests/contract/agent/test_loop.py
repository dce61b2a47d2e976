"""The agent's steps against a real panel server. What an apply does to an Asterisk is the role's test."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from centralino.agent.apply import Applier, NotInTimeError
from centralino.agent.config import Panel as Settings
from centralino.agent.connection import PanelError
from centralino.agent.loop import _TRIES, Agent
from centralino.agent.panel import PanelClient
from centralino.agent.store import Store
from centralino.asterisk.cli import AsteriskError
from centralino.contract.result import ApplyResult
from centralino.contract.snapshot import Snapshot, Tenant, publication_tag
from tests.contract.agent.server import Authority, Panel, reply, serve

ONE = Snapshot(pbx="pbx01", tenants=(Tenant(id=1, name="One"),))
TWO = Snapshot(pbx="pbx01", tenants=(Tenant(id=2, name="Two"),))


class AppliedOnPaper(Applier):
    """Accepts every snapshot but ``unloadable`` without an Asterisk, and remembers them; ``late`` more take long."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, Path("/nowhere"))
        self._papers = store
        self.applied: list[Snapshot] = []
        self.unloadable: Snapshot | None = None
        self.late = 0

    def apply(self, snapshot: Snapshot, *, last: bool = False) -> ApplyResult:
        self.applied.append(snapshot)
        self._papers.propose(snapshot)
        late, self.late = self.late > 0, self.late - 1
        if late and not last:
            raise NotInTimeError("the trial start is not done")
        refused = snapshot == self.unloadable or late
        if refused:
            self._papers.withdraw()
        else:
            self._papers.accept()
        return ApplyResult(
            pbx="pbx01",
            etag=snapshot.etag,
            outcome="refused" if refused else "live",
            finished=datetime(2026, 1, 1, tzinfo=UTC),
            seconds=1,
        )


class Stage:
    """An agent with its store, its panel and what it applied."""

    def __init__(self, panel: Panel, authority: Authority, state: Path) -> None:
        certificate, key = authority.issue("pbx01")
        settings = Settings(url=panel.url, ca=authority.certificate, certificate=certificate, key=key)
        self.panel = panel
        self.store = Store(state)
        self.applier = AppliedOnPaper(self.store)
        self.agent = Agent("pbx01", self.store, self.applier, PanelClient(settings, wait=2))

    def publish(self, snapshot: Snapshot, number: int | None = None) -> None:
        tag = publication_tag(snapshot.etag, number)
        self.panel.answer = reply(200, snapshot.document(), ETag=f'"{tag}"')


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    authority = Authority(tmp_path / "pki")
    panel = Panel(reply(404))
    server = serve(panel, authority)
    state = tmp_path / "state"
    state.mkdir()
    yield Stage(panel, authority, state)
    server.shutdown()
    server.server_close()


def test_a_snapshot_is_applied_and_its_outcome_told(stage: Stage) -> None:
    stage.publish(ONE)
    stage.agent.step()
    assert stage.applier.applied == [ONE]
    stage.panel.answer = reply(204)
    stage.agent.step()
    assert ApplyResult.model_validate_json(stage.panel.requests[-1].body).etag == ONE.etag
    stage.panel.answer = reply(304)
    stage.agent.step()
    assert stage.panel.requests[-1].etag == f'"{ONE.etag}"'
    assert stage.store.result() is None


def test_an_outcome_waits_for_a_panel_that_is_away(stage: Stage) -> None:
    stage.publish(ONE)
    stage.agent.step()
    stage.panel.answer = reply(503)
    with pytest.raises(PanelError):
        stage.agent.step()
    assert stage.store.result() is not None


def test_a_refused_snapshot_is_not_asked_for_again(stage: Stage) -> None:
    stage.applier.unloadable = ONE
    stage.publish(ONE)
    stage.agent.step()
    stage.panel.answer = reply(204)
    stage.agent.step()
    stage.publish(ONE)  # a panel that does not heed If-None-Match
    stage.agent.step()
    assert stage.panel.requests[-1].etag == f'"{ONE.etag}"'
    assert stage.applier.applied == [ONE]


def test_a_refused_snapshot_that_is_published_again_is_tried_once_more(stage: Stage) -> None:
    stage.applier.unloadable = ONE
    stage.publish(ONE)
    stage.agent.step()
    for _ in range(2):  # the second time it is the same publication
        stage.panel.answer = reply(204)
        stage.agent.step()
        stage.publish(ONE, 2)
        stage.agent.step()
    assert stage.panel.requests[-1].etag == f'"{ONE.etag}.2"'
    assert stage.applier.applied == [ONE, ONE]


def test_a_publication_that_takes_two_tries_is_not_asked_for_again(stage: Stage) -> None:
    stage.applier.late = 1
    stage.publish(ONE, 2)
    with pytest.raises(AsteriskError):
        stage.agent.step()
    stage.agent.step()  # from what the store has
    stage.panel.answer = reply(204)
    stage.agent.step()
    stage.panel.answer = reply(304)
    stage.agent.step()
    assert stage.panel.requests[-1].etag == f'"{ONE.etag}.2"'


def test_a_start_takes_up_an_unfinished_apply_before_it_asks(stage: Stage) -> None:
    stage.store.propose(ONE)
    stage.store.accept()
    stage.store.propose(TWO)
    stage.agent.step()
    assert stage.applier.applied == [TWO]
    assert stage.panel.requests == []


def test_a_start_looks_at_what_should_run_before_it_asks(stage: Stage) -> None:
    stage.store.propose(ONE)
    stage.store.accept()
    stage.agent.step()
    assert stage.applier.applied == [ONE]
    assert stage.panel.requests == []


def test_a_snapshot_that_is_not_loaded_in_time_is_tried_again_before_anything_is_told(stage: Stage) -> None:
    stage.applier.late = _TRIES - 1
    stage.publish(ONE)
    for _ in range(_TRIES - 1):
        with pytest.raises(AsteriskError):
            stage.agent.step()
        assert stage.store.result() is None
    stage.agent.step()
    assert stage.applier.applied == [ONE] * _TRIES
    assert (told := stage.store.result())
    assert told.outcome == "live"


def test_a_snapshot_that_is_never_loaded_in_time_is_told_as_refused(stage: Stage) -> None:
    stage.applier.late = 100
    stage.publish(ONE)
    for _ in range(_TRIES - 1):
        with pytest.raises(AsteriskError):
            stage.agent.step()
    stage.agent.step()
    assert (told := stage.store.result())
    assert (told.outcome, stage.store.proposed()) == ("refused", None)
    stage.panel.answer = reply(204)
    stage.agent.step()
    stage.publish(TWO)  # another one has all its tries again
    with pytest.raises(AsteriskError):
        stage.agent.step()
