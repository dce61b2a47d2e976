"""Actions from the browser to Asterisk and back, in both formats, and from one tenant against another."""

import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from centralino.cti.pictures import LISTS
from tests.contract.cti.conftest import Stage, message, silence
from tests.contract.cti.test_boards import ANNA, furnish

Run = Callable[[Callable[[Stage], Coroutine[Any, Any, None]]], None]


async def furnished(stage: Stage) -> None:
    """Let the PBX tell of its calls and queues, as it does after each connect."""
    furnish(stage)
    stage.pbx01.answers = dict.fromkeys(("Originate", "Hangup", "QueuePause"), ("Success", "done"))
    stage.pbx01.answers["BlindTransfer"] = ("Error", "No such channel")
    async with stage.live(175) as browser:
        await message(browser)
        await stage.pbx01.stop()
        await stage.pbx01.start()
        while not (await message(browser)).get("conferences"):
            pass
        # what else the PBX tells after a connect is no answer to a test's question
        with suppress(TimeoutError):
            while True:
                await message(browser, 0.3)


def actions(stage: Stage) -> list[dict[str, str]]:
    own = {"Login", "Ping", "ConfbridgeList", *LISTS}
    return [sent for sent in stage.pbx01.sent if sent["Action"] not in own]


async def ask(browser: ClientConnection, **document: Any) -> dict[str, Any]:
    await browser.send(json.dumps(document))
    return await message(browser)


def test_a_page_acts_and_is_told_what_came_of_it(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def scene(stage: Stage) -> None:
        await furnished(stage)
        token = stage.signer.token(175, extension="101")
        async with stage.connect(f"/live?token={token}") as browser:
            await message(browser)
            done = await ask(browser, type="action", id="1", action="originate", number="102")
            assert done == {"type": "result", "id": "1"}
            assert await ask(browser, type="action", id="2", action="hangup", channel=ANNA) == {
                "type": "result",
                "id": "2",
            }
            failed = await ask(browser, type="action", id="3", action="transfer", channel=ANNA, number="103")
            assert (failed["code"], failed["message"], failed["id"]) == ("failed", "No such channel", "3")
            refused = await ask(browser, type="action", id="4", action="hangup", channel="PJSIP/carrier-00000004")
            assert (refused["code"], refused["field"], refused["id"]) == ("unknown_channel", "channel", "4")
            for wrong, field in (({"action": 1}, "action"), ({"action": "hangup", "x": 1}, "x"), ({}, "action")):
                assert (await ask(browser, type="action", **wrong))["field"] == field
        sent = actions(stage)
        assert [action["Action"] for action in sent] == ["Originate", "Hangup", "BlindTransfer"]
        assert sent[0]["Channel"] == "Local/101@t175-internal/n"
        assert sent[1]["Channel"] == ANNA
        for line in (
            "action: user=anna tenant=175 role=user action='Hangup' result=success",
            "action='Originate' result=success",
            "action='BlindTransfer' result=failed",
            "action='hangup' result=unknown_channel",
        ):
            assert line in caplog.text

    run(scene)


def test_an_amiws_client_acts_as_it_always_did(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        await furnished(stage)
        token = stage.signer.token(175, extension="101")
        async with stage.connect(f"/?token={token}") as browser:
            for _ in range(2):
                await message(browser)
            own = {"Channel": "PJSIP/t175-annas0phone0", "Context": "t175-internal", "Priority": 1, "Async": True}
            for server in (1, "1", 0, None):
                answer = await ask(browser, Action="Originate", ActionID="mine", AMIServerID=server, Exten="102", **own)
                assert answer == {
                    "type": 4,
                    "server_id": 1,
                    "server_name": "pbx01",
                    "ssl": True,
                    "data": {"Response": "Success", "ActionID": "mine", "Message": "done"},
                }
            sent = actions(stage)[-1]
            assert sent.pop("ActionID").startswith("centralino-")
            assert sent == {
                "Action": "Originate",
                "Exten": "102",
                "Channel": "Local/101@t175-internal/n",
                "Context": "t175-internal",
                "Priority": "1",
                "CallerID": "101",
                "Async": "true",
            }
            pong = await ask(browser, Action="Ping", ActionID="p")
            assert pong["data"] == {"Response": "Success", "ActionID": "p", "Ping": "Pong"}
            for document, code, field in (
                ({"AMIServerID": 2}, "unknown_server", "AMIServerID"),
                ({"AMIServerID": 99}, "unknown_server", "AMIServerID"),
                ({"AMIServerID": [1, 2]}, "bad_type", "AMIServerID"),
                ({"AMI": "2"}, "field_refused", "AMI"),
                ({"Variable": ["A=1"]}, "bad_type", "Variable"),
            ):
                wish = {"Action": "Hangup", "Channel": ANNA, **document}
                error = await ask(browser, **wish)
                assert (error["type"], error["code"], error["field"]) == ("error", code, field)
        assert len(actions(stage)) == 4

    run(scene)


def test_nothing_of_another_tenant_can_be_touched(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        await furnished(stage)
        theirs = "PJSIP/t175-annas0phone0-00000001"
        place = {"Exten": "101", "Context": "t176-internal", "Priority": "1"}
        token = stage.signer.token(176, extension="101", role="operator")
        async with stage.connect(f"/?token={token}") as browser, stage.live(175) as victim:
            await message(browser)
            await message(victim)
            for wish in (
                {"Action": "Hangup", "Channel": theirs},
                {"Action": "Hangup", "Channel": "/PJSIP\\/t175.*/"},
                {"Action": "Redirect", "Channel": theirs, **place},
                {"Action": "Originate", "Channel": "PJSIP/t175-annas0phone0", **place},
                {"Action": "Originate", "Channel": "Local/101@t175-internal", **place},
                {"Action": "Originate", "Channel": "Local/101@t176-internal", **place, "Variable": "X=${SHELL(id)}"},
                {"Action": "Originate", "Channel": "Local/101@t176-internal", **place | {"Context": "t175-internal"}},
                {
                    "Action": "Originate",
                    "Channel": "Local/101@t176-internal",
                    **place | {"Exten": "1\r\nAction: Logoff"},
                },
                {"Action": "QueueAdd", "Queue": "t175-sales", "Interface": "Local/101@t176-internal"},
            ):
                assert (await ask(browser, **wish))["type"] == "error", wish
            assert actions(stage) == []
            await silence(victim)

    run(scene)


def test_a_user_has_only_so_many_actions_and_a_lost_pbx_takes_none(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        await furnished(stage)
        token = stage.signer.token(175, extension="101", sub="hasty")
        async with stage.connect(f"/live?token={token}") as browser, stage.connect(f"/live?token={token}") as second:
            await message(browser)
            await message(second)
            codes = []
            for number in range(40):
                window = browser if number % 2 else second
                answer = await ask(window, type="action", action="queue_pause", paused=True)
                codes.append(answer.get("code"))
            assert codes[:10] == [None] * 10
            assert codes.count("too_many_actions") > 10
        async with stage.connect(f"/live?token={stage.signer.token(175, extension='101')}") as browser:
            await message(browser)
            await stage.pbx01.stop()
            assert (await message(browser))["connected"] is False
            assert (await ask(browser, type="action", action="originate", number="1"))["code"] == "pbx_unreachable"

    run(scene)


def test_a_pbx_that_does_not_answer_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("centralino.cti.actions.desk.ANSWER_TIMEOUT", 0.2)

    async def scene(stage: Stage) -> None:
        await furnished(stage)
        stage.pbx01.mute.add("Originate")
        async with stage.connect(f"/live?token={stage.signer.token(175, extension='101')}") as browser:
            await message(browser)
            assert (await ask(browser, type="action", action="originate", number="1", id="x"))["code"] == "no_answer"

    run(scene)
