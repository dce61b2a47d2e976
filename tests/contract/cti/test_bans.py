"""What the proxy reports as an attack, to the socket of this guest's ``centralino-bans``, and what it does not."""

import json
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from centralino.contract.bans import Report
from tests.contract.cti.conftest import Stage, message
from tests.contract.cti.panel import Signer
from tests.contract.cti.test_admission import refused

Run = Callable[[Callable[[Stage], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def reports(tmp_path: Path) -> Callable[[], list[Report]]:
    """Listen as ``centralino-bans`` does; return a function that tells what has come since it was asked last."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "report.sock"))
    listener.setblocking(False)

    def take() -> list[Report]:
        taken = []
        while True:
            try:
                taken.append(Report.model_validate_json(listener.recv(4096)))
            except BlockingIOError:
                return taken

    return take


async def reload_with_bans(stage: Stage) -> None:
    path = stage.config_path
    path.write_text(f'bans = "{stage.folder}/report.sock"\n' + path.read_text())
    await stage.service.reload()


def test_a_forged_token_is_reported_and_one_that_may_be_honest_is_not(
    run: Run, reports: Callable[[], list[Report]]
) -> None:
    async def scene(stage: Stage) -> None:
        await reload_with_bans(stage)
        good = stage.signer.token(175)
        foreign = Signer()
        for token, code, forged in (
            (Signer(stage.signer.kid).token(175), "token_invalid", True),
            (Signer(stage.signer.kid).token(175, age=400), "token_invalid", True),
            (good.rpartition(".")[0] + ".", "token_invalid", True),
            (f"{good[:-8]}AAAAAAAA", "token_invalid", True),
            ("nonsense", "token_invalid", True),
            (foreign.token(175), "token_invalid", True),
            (foreign.token(175, age=400), "token_expired", False),
            (stage.signer.token(175, age=400), "token_expired", False),
            (stage.signer.token(175, age=-400), "token_invalid", False),
            (stage.signer.token(175, aud="somebody-else"), "token_invalid", False),
        ):
            async with stage.connect(f"/live?token={token}") as browser:
                assert await refused(browser) == (code, 4401)
            told = [(str(report.address), report.part, report.reason) for report in reports()]
            assert told == ([("127.0.0.1", "cti", "a forged token at the CTI proxy")] if forged else []), token
        async with stage.connect("/live") as browser:
            await browser.send(json.dumps({"type": "token", "token": Signer(stage.signer.kid).token(175)}))
            assert (await refused(browser))[0] == "token_invalid"
        assert len(reports()) == 1

    run(scene)


def test_an_unknown_key_is_no_forgery_while_the_panel_is_away(
    run: Run, reports: Callable[[], list[Report]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        await reload_with_bans(stage)
        await stage.panel.stop()
        monkeypatch.setattr("centralino.cti.tokens.FRESH", 0.0)
        async with stage.connect(f"/live?token={Signer().token(175)}") as browser:
            assert (await refused(browser))[0] == "token_invalid"
        assert reports() == []

    run(scene)


def test_a_token_is_good_from_its_tenants_networks_alone(run: Run, reports: Callable[[], list[Report]]) -> None:
    async def scene(stage: Stage) -> None:
        await reload_with_bans(stage)
        here = stage.signer.token(175, networks=["2001:db8::/32", "127.0.0.0/8"])
        async with stage.connect(f"/live?token={here}") as browser:
            assert (await message(browser))["type"] == "snapshot"
        assert reports() == []
        elsewhere = stage.signer.token(175, networks=["203.0.113.0/24"])
        async with stage.connect(f"/live?token={elsewhere}") as browser:
            assert await refused(browser) == ("address_not_allowed", 4401)
        (report,) = reports()
        assert report.reason == "a token of anna, from outside its tenant's networks"
        assert stage.service.web.feeds.counts.refused["address_not_allowed"] == 1

    run(scene)


def test_a_socket_that_is_not_there_or_full_holds_nobody_up(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        await reload_with_bans(stage)
        for _ in range(2):
            async with stage.connect("/live?token=nonsense") as browser:
                assert (await refused(browser))[0] == "token_invalid"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as full:
            full.bind(str(stage.folder / "report.sock"))
            for _ in range(600):
                stage.service._accuse("203.0.113.7", "test")  # noqa: SLF001 - 600 browsers would take long
        assert "ban not reported: address=127.0.0.1" in caplog.text
        assert "temporarily unavailable" in caplog.text

    run(scene)
