"""/live: states, isolation, order, and a PBX that goes and comes back."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from tests.benchmarks.cti.fake_ami import FakeAmi, event
from tests.contract.cti.conftest import Stage, message, silence, until

Run = Callable[[Callable[[Stage], Coroutine[Any, Any, None]]], None]


def states(document: dict[str, Any]) -> dict[str, str]:
    return {number: extension["state"] for number, extension in document["extensions"].items()}


def test_a_browser_gets_a_snapshot_and_then_each_change_in_order(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.live(175) as browser:
            snapshot = await message(browser)
            assert snapshot["type"] == "snapshot"
            assert states(snapshot) == {"101": "free", "102": "unregistered"}
            last = snapshot
            for status, state in ((8, "ringing"), (1, "busy"), (16, "held"), (4, "unregistered"), (0, "free")):
                stage.pbx01.set(175, "101", status)
                change = await message(browser)
                assert change["type"] == "change"
                assert change["seq"] == last["seq"] + 1
                assert states(change) == {"101": state}
                assert change["extensions"]["101"]["since"] >= snapshot["extensions"]["101"]["since"] > 1.7e12
                last = change

    run(scene)


def test_tenants_see_nothing_of_each_other(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.live(175) as anna, stage.live(176) as bert, stage.amiws(176) as old:
            assert states(await message(anna)) == {"101": "free", "102": "unregistered"}
            assert states(await message(bert)) == {"101": "busy"}
            assert (await message(old))["data"]["Exten"] == "101"
            stage.pbx01.set(175, "102", 8)
            stage.pbx01.send(event("Newchannel", Channel="PJSIP/t175-abcdefgh1234-00000001", Exten="101"))
            stage.pbx01.send(event("Newchannel", Channel="Local/101@t176-internal-0001;1", Exten="101"))
            stage.pbx01.send(event("Shutdown", Shutdown="Cleanly"))
            assert states(await message(anna)) == {"102": "ringing"}
            await silence(bert)
            await silence(old)

    run(scene)


def test_a_lost_pbx_greys_its_own_extensions_and_the_truth_returns(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.live(175) as here, stage.live(177) as there:
            await message(here)
            await message(there)
            await stage.pbx01.stop()
            assert states(await message(here)) == {"101": "unregistered"}
            stage.pbx02.set(177, "201", 8)
            assert states(await message(there, within=0.5)) == {"201": "ringing"}
            stage.pbx01.hints[175, "102"] = 1
            await stage.pbx01.start()
            assert states(await message(here, within=5)) == {"101": "free", "102": "busy"}

    run(scene)


def test_a_dialplan_reload_shows_new_hints_and_hides_removed_ones(run: Run) -> None:
    def reload(pbx: FakeAmi) -> None:
        """Send what Asterisk sends: the hints that there are, nothing for those that are gone."""
        for (tenant, number), status in pbx.hints.items():
            pbx.set(tenant, number, status)

    async def scene(stage: Stage) -> None:
        async with stage.live(175) as browser:
            await message(browser)
            stage.pbx01.hints[175, "103"] = 0
            reload(stage.pbx01)
            assert states(await message(browser)) == {"103": "free"}
            del stage.pbx01.hints[175, "102"]
            reload(stage.pbx01)
            snapshot = await message(browser)
            assert snapshot["type"] == "snapshot"
            assert states(snapshot) == {"101": "free", "103": "free"}

    run(scene)


def test_garbage_from_asterisk_stops_nothing(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.live(175) as browser:
            await message(browser)
            stage.pbx01.send(
                b"\x00\xff\r\r\n\n\r\n\r\nEvent\r\n\r\n: \r\n\r\nEvent: ExtensionStatus\r\nExten: \r\n\r\n"
            )
            stage.pbx01.send(b"x" * 3_000_000 + b"\r\n\r\n")
            stage.pbx01.send(event("ExtensionStatus", Context="t175-internal", Exten="../../etc", Status="1"))
            stage.pbx01.send(event("ExtensionStatus", Context="t175-other", Exten="101", Status="1"))
            stage.pbx01.set(175, "101", 8)
            assert states(await message(browser)) == {"101": "ringing"}
            assert stage.pbx01.logged_in == 1

    run(scene)


def test_an_error_of_ours_cuts_nobody_off(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(text: str) -> int:
        raise ValueError(text)

    monkeypatch.setattr("centralino.cti.queues.whole_number", fail)
    caller = {"Queue": "t175-sales", "Position": "a-secret"}

    async def scene(stage: Stage) -> None:
        async with stage.live(175) as browser:
            await message(browser)
            with caplog.at_level("ERROR"):
                for _ in range(3):
                    stage.pbx01.send(event("QueueCallerJoin", **caller))
                stage.pbx01.set(175, "101", 8)
                assert states(await message(browser)) == {"101": "ringing"}
                stage.pbx01.listed["QueueStatus"] = [("QueueEntry", caller)]
                stage.pbx01.hints[175, "102"] = 1
                stage.pbx01.send(event("Reload"))
                assert states(await message(browser)) == {"102": "busy"}
                await until(lambda: b'ami_not_taken_total{pbx="pbx01"} 4\n' in stage.service.metrics())
        assert [sent["Action"] for sent in stage.pbx01.sent].count("Login") == 1
        assert [name for name in ("'QueueCallerJoin'", "'QueueStatus'") if caplog.text.count(name) != 1] == []
        assert "a-secret" not in caplog.text

    run(scene)


@pytest.mark.parametrize(("steady", "few"), [(5.0, True), (0.0, False)])
def test_a_pbx_that_is_lost_right_after_each_log_in_is_not_hurried(
    run: Run, monkeypatch: pytest.MonkeyPatch, *, steady: float, few: bool
) -> None:
    monkeypatch.setattr("centralino.cti.ami.connection.STEADY", steady)

    async def scene(stage: Stage) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(3):
                while True:
                    stage.pbx01.drop()
                    await asyncio.sleep(0.02)
        log_ins = [sent["Action"] for sent in stage.pbx01.sent].count("Login")
        assert (log_ins < 9) == few, f"{log_ins} log-ins in 3 seconds"

    run(scene)


def test_a_silent_pbx_is_given_up(run: Run, monkeypatch: Any) -> None:
    monkeypatch.setattr("centralino.cti.ami.connection.PING_INTERVAL", 0.1)

    async def scene(stage: Stage) -> None:
        stage.pbx01.answers_pings = False
        async with stage.live(175) as browser:
            assert states(await message(browser))["101"] in {"free", "unregistered"}
            await until(lambda: sum(action["Action"] == "Login" for action in stage.pbx01.sent) > 1)

    run(scene)


def test_a_slow_reader_loses_its_place_and_is_brought_back_by_a_snapshot(run: Run) -> None:
    numbers = [str(1000 + n) for n in range(300)]

    async def scene(stage: Stage) -> None:
        feeds = stage.service._feeds  # noqa: SLF001 - nobody outside sees who was set aside
        for number in numbers:
            stage.pbx01.set(178, number, 0)
        narrow = socket.socket()
        # So little that the kernel's own buffers hide nothing.
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.connect(("127.0.0.1", stage.port))
        async with (
            stage.live(178, sock=narrow, server_hostname="127.0.0.1", max_queue=1) as slow,
            stage.live(178) as quick,
        ):
            await message(slow)
            known = states(await message(quick))
            slow.transport.pause_reading()
            feed = feeds._live[178]  # noqa: SLF001
            rounds = 0
            while len(feed.readers) == len(feed.clients) and rounds < 300:
                rounds += 1
                for number in numbers:
                    stage.pbx01.set(178, number, rounds % 2)
                wanted = dict.fromkeys(numbers, "busy" if rounds % 2 else "free")
                while known != wanted:
                    known |= states(await message(quick))
            assert len(feed.readers) < len(feed.clients), "the slow reader was never set aside"
            stage.pbx01.set(178, "1000", 8)
            assert states(await message(quick, within=0.5)) == {"1000": "ringing"}
            slow.transport.resume_reading()
            last = await message(slow)
            while last["type"] == "change":
                following = await message(slow)
                assert following["type"] == "snapshot" or following["seq"] == last["seq"] + 1
                last = following
            assert states(last) == known | {"1000": "ringing"}
            stage.pbx01.set(178, "1000", 1)
            following = await message(slow)
            assert (following["type"], following["seq"]) == ("change", last["seq"] + 1)

    run(scene)


def test_a_tenant_without_extensions_is_told_of_reach_too(run: Run) -> None:
    """It may be on any PBX, and no extension of its own changes with one."""

    async def scene(stage: Stage) -> None:
        async with stage.live(199) as browser:
            assert (await message(browser))["connected"] is True
            await stage.pbx02.stop()
            assert (await message(browser))["connected"] is False
            async with stage.live(199) as later:
                assert (await message(later))["connected"] is False
                await stage.pbx02.start()
                for each in (browser, later):
                    assert (await message(each))["connected"] is True
            async with stage.live(199) as later:
                assert (await message(later))["connected"] is True

    run(scene)


def test_clients_of_amiws_format_learn_of_a_pbx_that_goes_and_comes_back(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.amiws(175) as browser:

            async def told() -> tuple[int, str, str]:
                document = await message(browser)
                data = document["data"]
                assert (data["Event"], data["Context"]) == ("ExtensionStatus", "t175-internal")
                return document["server_id"], data["Exten"], data["Status"]

            assert [await told(), await told()] == [(1, "101", "0"), (1, "102", "4")]
            await stage.pbx01.stop()
            assert await told() == (1, "101", "4")
            stage.pbx01.hints[175, "102"] = 8
            await stage.pbx01.start()
            assert [await told(), await told()] == [(1, "101", "0"), (1, "102", "8")]
            stage.pbx01.set(175, "101", 1)
            assert await told() == (1, "101", "1")
            await silence(browser)

    run(scene)


def test_the_amiws_format_on_the_old_path(run: Run) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.amiws(175) as browser:
            for number in ("101", "102"):
                first = await message(browser)
                assert first["data"]["Event"] == "ExtensionStatus"
                assert first["data"]["Exten"] == number
            stage.pbx01.send(
                event(
                    "Hangup", Channel="PJSIP/t175-abcdefgh1234-00000001", CallerIDName='t9-x "né"', Cause_txt="Unknown"
                )
            )
            assert await message(browser) == {
                "type": 3,
                "server_id": 1,
                "server_name": "pbx01",
                "ssl": True,
                "data": {
                    "Event": "Hangup",
                    "Channel": "PJSIP/t175-abcdefgh1234-00000001",
                    "CallerIDName": 't9-x "né"',
                    "Cause-txt": "Unknown",
                },
            }

    run(scene)
