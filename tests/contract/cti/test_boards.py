"""/live: calls, queues, parked calls and conferences, from the full picture and from events; gaps and resumption."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.benchmarks.cti.fake_ami import event
from tests.contract.cti.conftest import Stage, message, silence

Run = Callable[[Callable[[Stage], Coroutine[Any, Any, None]]], None]

ANNA = "PJSIP/t175-annas0phone0-00000001"
BERT = "PJSIP/t175-berts0phone0-00000002"


def channel(name: str, unique: str, state: str, number: str, other: str, **headers: str) -> dict[str, str]:
    return {
        "Channel": name,
        "ChannelState": state,
        "CallerIDNum": number,
        "CallerIDName": f"of {number}",
        "ConnectedLineNum": other,
        "ConnectedLineName": "<unknown>",
        "Uniqueid": unique,
        "Linkedid": "1.1",
        **headers,
    }


def furnish(stage: Stage) -> None:
    pbx = stage.pbx01
    pbx.devices = {(175, "101"): "PJSIP/t175-annas0phone0", (175, "102"): "PJSIP/t175-berts0phone0"}
    pbx.listed = {
        "CoreShowChannels": [
            ("CoreShowChannel", channel(ANNA, "1.1", "6", "101", "102", Duration="00:01:05")),
            ("CoreShowChannel", channel(BERT, "1.2", "6", "102", "101", Duration="00:01:00")),
            ("CoreShowChannel", channel("PJSIP/t176-somebody0000-00000003", "2.1", "6", "201", "1", Linkedid="2.1")),
            ("CoreShowChannel", channel("PJSIP/carrier-00000004", "3.1", "6", "0891", "1", Linkedid="3.1")),
        ],
        "QueueStatus": [
            ("QueueParams", {"Queue": "t175-sales", "Max": "0"}),
            (
                "QueueMember",
                {
                    "Queue": "t175-sales",
                    "Name": "Anna",
                    "Location": "PJSIP/t175-annas0phone0",
                    "Status": "2",
                    "Paused": "1",
                    "PausedReason": "lunch",
                },
            ),
            (
                "QueueEntry",
                {
                    "Queue": "t175-sales",
                    "Position": "1",
                    "Channel": "PJSIP/carrier-00000005",
                    "CallerIDNum": "0892",
                    "Wait": "7",
                },
            ),
            ("QueueParams", {"Queue": "t176-secret"}),
            ("QueueParams", {"Queue": "default"}),
        ],
        "ParkedCalls": [
            (
                "ParkedCall",
                {
                    "Parkinglot": "t175-lot",
                    "ParkingSpace": "701",
                    "ParkeeChannel": "PJSIP/carrier-00000006",
                    "ParkeeCallerIDNum": "0893",
                    "ParkingDuration": "3",
                },
            ),
        ],
        "ConfbridgeListRooms": [
            ("ConfbridgeListRooms", {"Conference": "t175-8000"}),
            ("ConfbridgeListRooms", {"Conference": "t176-8000"}),
        ],
        "ConfbridgeList": [
            (
                "ConfbridgeList",
                {"Conference": "t175-8000", "Channel": BERT, "CallerIDNum": "102", "CallerIDName": "B", "Muted": "Yes"},
            ),
        ],
    }


def call(document: dict[str, Any]) -> dict[str, Any]:
    (found,) = document["calls"].values()
    assert isinstance(found, dict)
    return found


def test_the_full_picture_is_taken_after_each_connect(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        furnish(stage)
        async with stage.live(175) as browser:
            # On a busy machine the first picture has some of it.
            await stage.pbx01.stop()
            while (await message(browser)).get("connected") is not False:
                pass
            await stage.pbx01.start()
            board = {"connected": False, "extensions": {}, "conferences": {}, "calls": {}, "queues": {}, "parked": {}}
            while not board["connected"] or not board["conferences"]:
                change = await message(browser)
                assert change["type"] == "change"
                for section in ("extensions", "calls", "queues", "parked", "conferences"):
                    board[section] |= change.get(section, {})
                board["connected"] = change.get("connected", board["connected"])
            found = call(board)
            assert found["state"] == "up"
            assert [(p["extension"], p["number"], p["channel"], p["state"]) for p in found["parties"]] == [
                ("101", "101", ANNA, "up"),
                ("102", "102", BERT, "up"),
            ]
            queues: Any = board["queues"]
            assert list(queues) == ["sales"]
            (agent,), (caller,) = queues["sales"]["agents"], queues["sales"]["waiting"]
            assert agent == {"name": "Anna", "extension": "101", "state": "busy", "paused": True, "reason": "lunch"}
            assert (caller["number"], caller["position"]) == ("0892", 1)
            parked: Any = board["parked"]
            assert parked["701"]["number"] == "0893"
            conferences: Any = board["conferences"]
            (participant,) = conferences["8000"]["participants"]
            assert (participant["extension"], participant["muted"]) == ("102", True)
            await stage.pbx01.stop()
            gone = await message(browser)
            assert gone["connected"] is False
            assert list(gone["calls"].values()) == list(gone["queues"].values()) == [None]
            assert gone["parked"] == {"701": None}
            assert gone["conferences"] == {"8000": None}

    run(scene)


def wish(kind: str, status: str, text: str = "", tenant: int = 175) -> dict[str, str]:
    return {"Presentity": f"CustomPresence:t{tenant}-{kind}-101", "Status": status, "Subtype": kind, "Message": text}


def test_what_calls_meet_is_in_the_full_picture_and_told_at_once(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        stage.pbx01.listed["PresenceStateList"] = [("PresenceStateChange", wish("forward", "xa", "102"))]
        async with stage.live(175) as browser, stage.live(176) as other:
            assert "forward" not in (await message(browser))["extensions"]["101"]
            await message(other)
            await stage.pbx01.stop()
            await message(browser)
            await message(other)
            await stage.pbx01.start()
            shown: dict[str, Any] = {}
            while shown.get("state") != "free" or shown.get("forward") != "102":
                shown = (await message(browser))["extensions"].get("101", shown)
            assert (await message(other))["connected"]
            stage.pbx01.send(event("PresenceStateChange", **wish("dnd", "dnd")))
            shown = (await message(browser))["extensions"]["101"]
            assert (shown["dnd"], shown["forward"]) == (True, "102")
            await silence(other)
            stage.pbx01.send(event("PresenceStateChange", **wish("dnd", "available")))
            assert "dnd" not in (await message(browser))["extensions"]["101"]

    run(scene)


def test_a_call_from_ring_to_hang_up(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        send = stage.pbx01.send

        def tell(name: str, state: str, number: str, unique: str, who: str, **headers: str) -> None:
            send(event(name, **channel(who, unique, state, number, "102" if number == "101" else "101", **headers)))

        async with stage.live(175) as browser, stage.live(176) as other:
            await message(browser)
            await message(other)
            tell("Newchannel", "4", "101", "1.1", ANNA)
            first = call(await message(browser))
            assert first["state"] == "ringing"
            assert [p["number"] for p in first["parties"]] == ["101", "102"]
            assert first["parties"][1]["channel"] is None
            tell("Newchannel", "5", "102", "1.2", BERT)
            assert [p["state"] for p in call(await message(browser))["parties"]] == ["dialling", "ringing"]
            tell("Newstate", "6", "102", "1.2", BERT)
            await message(browser)
            tell("Newstate", "6", "101", "1.1", ANNA)
            up = call(await message(browser))
            assert up["state"] == "up"
            assert up["since"] >= first["since"]
            tell("Hold", "6", "101", "1.1", ANNA)
            held = call(await message(browser))
            assert [held["state"], *(p["state"] for p in held["parties"])] == ["held", "held", "up"]
            tell("Unhold", "6", "101", "1.1", ANNA)
            assert call(await message(browser))["state"] == "up"
            # An attended transfer joins another call to this one: the channel brings its new Linkedid.
            tell("BridgeEnter", "6", "101", "1.1", ANNA, Linkedid="0.9")
            moved = await message(browser)
            assert set(moved["calls"]) == {"pbx01:0.9", "pbx01:1.1"}
            for unique, who in (("1.1", ANNA), ("1.2", BERT)):
                tell("Hangup", "6", "101", unique, who)
                assert None in (await message(browser))["calls"].values()
            await silence(other)

    run(scene)


def test_who_is_transferred_to_a_queue_takes_the_others_place_in_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Asterisk 22.10 tells it: no event of the queue's, and a leave that may name another channel."""
    monkeypatch.setattr("centralino.cti.pictures.SPACING", 0.1)
    place = {"Queue": "t175-sales", "Position": "1", "CallerIDNum": "101", "Channel": ANNA}
    taken = place | {"CallerIDNum": "0891", "Channel": "Local/_attended@transfer/m-00000001;2", "Wait": "5"}

    async def scene(stage: Stage) -> None:
        async with stage.live(175) as browser:
            await message(browser)
            stage.pbx01.send(event("QueueCallerJoin", **place))
            (waiting,) = (await message(browser))["queues"]["sales"]["waiting"]
            assert waiting["number"] == "101"
            stage.pbx01.listed["QueueStatus"] = [("QueueEntry", taken)]
            stage.pbx01.send(event("AttendedTransfer", Result="Success", DestType="Bridge"))
            (waiting,) = (await message(browser, within=5))["queues"]["sales"]["waiting"]
            assert waiting["number"] == "0891"
            stage.pbx01.send(event("QueueCallerLeave", **taken))
            assert (await message(browser))["queues"]["sales"]["waiting"] == []

    run(scene)


def test_who_comes_back_soon_is_sent_what_was_missed(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.live(175) as browser:
            seen = (await message(browser))["seq"]
            stage.pbx01.set(175, "101", 8)
            assert (await message(browser))["seq"] == seen + 1
        for status in (1, 0):
            stage.pbx01.set(175, "101", status)
            async with stage.live(175) as witness:
                await message(witness)
        token = stage.signer.token(175)
        async with stage.connect(f"/live?token={token}&since={seen}") as browser:
            states = []
            for number in range(1, 4):
                change = await message(browser)
                assert (change["type"], change["seq"]) == ("change", seen + number)
                states.append(change["extensions"]["101"]["state"])
            assert states == ["ringing", "busy", "free"]
        async with stage.connect(f"/live?token={token}&since={seen + 3}") as browser:
            assert await message(browser, heartbeats=True) == {"type": "heartbeat", "seq": seen + 3}
        for unknown in (seen - 1, seen + 4, 0, "x", "9" * 40):
            async with stage.connect(f"/live?token={token}&since={unknown}") as browser:
                assert (await message(browser))["type"] == "snapshot"

    run(scene)
