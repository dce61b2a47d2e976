"""Questions to an agent and the Asterisk beside it, with a panel that publishes what the test says."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from scenario_fixtures import Exposure, within
from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).parents[3]))

from centralino.contract.snapshot import Device, Extension, Snapshot, Tenant
from tests.unit.asterisk.snapshots import snapshots

PANEL = "/run/test-panel"
GIVEN = f"{PANEL}/given.json"
STATE = "/var/lib/centralino/agent"
SECRET = "Pr1vat3" * 4


def snapshot(*endpoints: str, name: str = "Reception", pbx: str = "molecule-pbx-agent") -> Snapshot:
    """Return a snapshot with extensions 101, 102, … of one device each."""
    extensions = tuple(
        Extension(number=str(number), name=name, devices=(Device(endpoint=f"t175-{endpoint}", secret=SECRET),))
        for number, endpoint in enumerate(endpoints, 101)
    )
    return Snapshot(pbx=pbx, tenants=(Tenant(id=175, name="Rossi", extensions=extensions),))


class Pbx:
    """The guest: its Asterisk, its agent, and the panel that the agent asks."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.program = re.search(r"ExecStart=(\S+)", host.check_output("systemctl cat centralino-agent"))[1]  # type: ignore[index]

    def publish(self, wanted: Snapshot) -> None:
        """Let the panel publish ``wanted``; the etag comes last, for the panel looks at that."""
        self.write(f"{PANEL}/snapshot.json", wanted.document().decode())
        self.write(f"{PANEL}/etag", wanted.etag)

    def write(self, path: str, text: str) -> None:
        """Write a file whole, so that nobody reads a half of it."""
        self.host.run_expect([0], f"printf %s {_quoted(text)} > {path}.new && mv {path}.new {path}")

    def result(self, wanted: Snapshot, seconds: float = 120) -> dict[str, str]:
        """Wait until the panel has been told the outcome of ``wanted``, and return the last."""

        def told() -> dict[str, str] | None:
            lines = self.host.run(f"cat {PANEL}/results").stdout.splitlines()
            return next((r for r in map(json.loads, reversed(lines)) if r["etag"] == wanted.etag), None)

        result = within(seconds, told)
        assert result, self.journal()
        return result

    def forget_results(self) -> None:
        """Let the panel know of no outcome."""
        self.host.run_expect([0], f"rm -f {PANEL}/results")

    def asterisk(self, command: str) -> str:
        """Return what the running Asterisk answers."""
        return str(self.host.check_output(f"asterisk -rx '{command}'"))

    def endpoints(self) -> set[str]:
        """Return tenant 175's endpoints that the running Asterisk has."""
        return set(re.findall(r"Endpoint:  (t175-[a-z0-9]+)/", self.asterisk("pjsip list endpoints")))

    def journal(self) -> str:
        """Return all that the agent has said."""
        return str(self.host.check_output("journalctl -u centralino-agent -o cat --no-pager"))

    def starts(self) -> int:
        """Return how often systemd has started the agent again."""
        return int(self.host.check_output("systemctl show --property NRestarts --value centralino-agent"))

    def kill_when(self, line: str, seconds: float) -> None:
        """Let the guest kill the agent without warning, ``seconds`` after it has said a line like this."""
        said = f"journalctl -u centralino-agent -o cat --no-pager | grep -q {_quoted(line)}"
        script = f"until {said}; do sleep 0.02; done; sleep {seconds}; systemctl kill --signal KILL centralino-agent"
        self.host.run_expect([0], f"systemd-run --quiet --collect sh -c {_quoted(script)}")

    def agent(self, arguments: str) -> tuple[int, str]:
        """Run a command of the agent as its own user; return the exit code and all that it printed."""
        done = self.host.run(f"runuser -u asterisk -- {self.program} {arguments} 2>&1")
        return done.rc, done.stdout


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


@pytest.fixture(scope="module")
def panel(host: Host) -> Iterator[None]:
    script = (Path(__file__).parent / "panel.py").read_text()
    pki = "/etc/centralino/pki/"
    host.run_expect([0], f"rm -rf {PANEL}; mkdir {PANEL}; printf %s {_quoted(script)} > {PANEL}/panel.py")
    name = host.check_output("ls /etc/centralino/pki/*.key").removesuffix(".key").removeprefix(pki)
    host.run_expect(
        [0],
        f"systemd-run --quiet --collect --unit test-panel "
        f"python3 {PANEL}/panel.py {PANEL} {pki}ca.crt {pki}{name}.crt {pki}{name}.key 8443",
    )
    yield
    host.run_expect([0], f"systemctl stop test-panel; rm -rf {PANEL}")


@pytest.fixture
def pbx(host: Host, request: pytest.FixtureRequest) -> Pbx:
    """Return the guest with a known snapshot live."""
    request.getfixturevalue("panel")
    guest = Pbx(host)
    known = snapshot("k3v9d0aa11bb", "k3v9d0aa11cc")
    guest.forget_results()
    guest.publish(known)
    if f"snapshot: {known.etag}" not in guest.agent("status")[1]:
        assert guest.result(known)["outcome"] == "live"
    return guest


def test_the_service_is_up_enabled_and_confined(host: Host, exposure: Exposure) -> None:
    agent = host.service("centralino-agent")
    assert agent.is_running
    assert agent.is_enabled
    assert exposure("centralino-agent.service") <= 2.5


def test_strangers_cannot_read_secrets(host: Host) -> None:
    for path in ("/etc/centralino/agent.toml", STATE):
        assert host.run(f"runuser -u nobody -- cat {path}").rc != 0
        assert host.run(f"runuser -u nobody -- ls {path}/").rc != 0


def test_what_is_published_goes_live(pbx: Pbx) -> None:
    assert pbx.endpoints() == {"t175-k3v9d0aa11bb", "t175-k3v9d0aa11cc"}
    assert "PJSIP/t175-k3v9d0aa11cc" in pbx.asterisk("dialplan show 102@t175-internal")
    assert "101@t175-internal" in pbx.asterisk("core show hints")
    assert "Parking Lot: t175-parking" in pbx.asterisk("parking show")
    assert pbx.agent("status") == (0, pbx.agent("status")[1])
    assert "asterisk: runs it" in pbx.agent("status")[1]
    assert SECRET not in pbx.journal()


def test_only_what_changed_is_reloaded(pbx: Pbx) -> None:
    renamed = snapshot("k3v9d0aa11bb", "k3v9d0aa11cc", name="Surgery")
    pbx.publish(renamed)
    assert pbx.result(renamed)["message"] == "reloaded pjsip.conf"
    assert '"Surgery" <101>' in pbx.asterisk("pjsip show endpoint t175-k3v9d0aa11bb")


def test_what_a_trial_asterisk_does_not_load_never_reaches_the_live_one(pbx: Pbx) -> None:
    started = pbx.asterisk("core show settings").split("Last reload time")[0]
    current = pbx.host.file(f"{STATE}/current").linked_to
    pbx.host.run_expect([0], "sed -i.saved '/tryinclude/d' /etc/asterisk/extensions.conf")
    try:
        unloadable = snapshot("zzzzzzzzzzzz")
        pbx.publish(unloadable)
        result = pbx.result(unloadable)
    finally:
        pbx.host.run_expect([0], "mv /etc/asterisk/extensions.conf.saved /etc/asterisk/extensions.conf")
    assert result["outcome"] == "refused"
    assert re.search("missing: .*extension 101@t175-internal", result["message"])
    assert pbx.endpoints() == {"t175-k3v9d0aa11bb", "t175-k3v9d0aa11cc"}
    assert pbx.host.file(f"{STATE}/current").linked_to == current
    assert pbx.asterisk("core show settings").split("Last reload time")[0] == started


def test_what_the_live_asterisk_does_not_take_is_taken_back(pbx: Pbx) -> None:
    # a trial Asterisk has its own modules, so only the live one cannot read the dialplan
    assert "Unloaded" in pbx.asterisk("module unload pbx_config.so")
    current = pbx.host.file(f"{STATE}/current").linked_to
    other = snapshot("k3v9d0aa11bb", "dddddddddddd")
    try:
        pbx.publish(other)
        assert within(120, lambda: re.search(f"release {other.etag}.*going back", pbx.journal()))
    finally:
        pbx.asterisk("module load pbx_config.so")
    result = pbx.result(other)
    assert result["outcome"] == "reverted"
    assert re.search("did not take it: missing: .*extension 101@t175-internal", result["message"])
    assert "as before" in result["message"]
    assert pbx.endpoints() == {"t175-k3v9d0aa11bb", "t175-k3v9d0aa11cc"}
    assert pbx.host.file(f"{STATE}/current").linked_to == current


@pytest.mark.parametrize(
    ("said", "seconds"), [("trial start", 0), ("trial start", 1), ("swap, reload", 0), ("swap, reload", 0.1)]
)
def test_killed_at_any_moment_it_comes_to_the_same_end(pbx: Pbx, said: str, seconds: float) -> None:
    endpoint = f"e{'swap' in said:d}{int(seconds * 10):010}"
    other = snapshot("k3v9d0aa11bb", endpoint)
    pbx.kill_when(f"release {other.etag}.*{said}", seconds)
    starts = pbx.starts()
    pbx.publish(other)
    assert within(60, lambda: pbx.starts() > starts), "a new start after the kill"
    assert pbx.result(other)["outcome"] == "live"
    assert pbx.endpoints() == {"t175-k3v9d0aa11bb", f"t175-{endpoint}"}
    assert pbx.host.check_output("pgrep --count --exact asterisk") == "1", "no trial Asterisk is left"
    assert not pbx.host.file(f"{STATE}/next.json").exists
    assert not pbx.host.file(f"{STATE}/former").exists


def test_a_forward_ends_with_the_extension_that_asked_for_it(pbx: Pbx) -> None:
    def wishes() -> set[str]:
        return set(re.findall("/CustomPresence/(t175-[a-z]+-[0-9]+)", pbx.asterisk("database show CustomPresence")))

    for name, state in (("forward-101", "xa,forward,102"), ("forward-102", "xa,forward,101"), ("dnd-103", "dnd,dnd,")):
        pbx.asterisk(f"presencestate change CustomPresence:t175-{name} {state}")
    assert wishes() == {"t175-forward-101", "t175-forward-102", "t175-dnd-103"}
    # 102 changes hands, nobody has 103
    other = snapshot("k3v9d0aa11bb", "aaaabbbbcccc")
    pbx.publish(other)
    assert pbx.result(other)["outcome"] == "live"
    assert wishes() == {"t175-forward-101"}
    pbx.publish(alone := snapshot())
    assert pbx.result(alone)["outcome"] == "live"
    assert wishes() == set()


def test_without_the_panel_the_last_configuration_is_restored(pbx: Pbx) -> None:
    pbx.host.run_expect([0], "systemctl kill --signal STOP test-panel")
    try:
        pbx.host.run_expect([0], f"rm -r {STATE}/current {STATE}/releases && systemctl restart asterisk")
        assert pbx.endpoints() == set()
        pbx.host.run_expect([0], "systemctl restart centralino-agent")
        assert within(60, lambda: len(pbx.endpoints()) == 2), "the endpoints of the last configuration"
    finally:
        pbx.host.run_expect([0], "systemctl kill --signal CONT test-panel")


def test_an_asterisk_that_is_down_gets_the_configuration_when_it_is_back(pbx: Pbx) -> None:
    pbx.host.run_expect([0], "systemctl stop asterisk")
    other = snapshot("k3v9d0aa11bb", "ffffffffffff")
    pbx.publish(other)
    assert within(60, lambda: "does not answer" in pbx.journal())
    pbx.host.run_expect([0], "systemctl start asterisk")
    assert pbx.result(other)["outcome"] == "live"
    assert "t175-ffffffffffff" in pbx.endpoints()


def test_another_pbxs_configuration_is_not_taken(pbx: Pbx) -> None:
    pbx.publish(snapshot("gggggggggggg", pbx="pbx02"))
    refusal = "sent the configuration of pbx02, and this is molecule-pbx-agent"
    assert within(60, lambda: refusal in pbx.journal())
    assert pbx.endpoints() == {"t175-k3v9d0aa11bb", "t175-k3v9d0aa11cc"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", f"{GIVEN}: the file: Invalid JSON"),
        ('{"pbx": "x", "colour": 1}', f"{GIVEN}: colour: Extra inputs are not permitted"),
    ],
)
def test_a_bad_file_is_one_sentence_and_changes_nothing(pbx: Pbx, text: str, sentence: str) -> None:
    pbx.write(GIVEN, text)
    code, said = pbx.agent(f"apply {GIVEN}")
    assert (code, sentence in said, "Traceback" in said) == (2, True, False), said


def test_any_snapshot_loads(pbx: Pbx) -> None:
    """What the generator thinks of, a real Asterisk loads: these endpoints and hints, and no others."""

    @given(snapshots())
    @settings(max_examples=8, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def loads(some: Snapshot) -> None:
        pbx.write(GIVEN, some.document().decode())
        code, said = pbx.agent(f"apply {GIVEN}")
        assert code == 0, said
        shown = re.findall(r"Endpoint:  (t\d+-[a-z0-9]+)/(\d+) ", pbx.asterisk("pjsip list endpoints"))
        assert dict(shown) == {d.endpoint: e.number for t in some.tenants for e in t.extensions for d in e.devices}
        hints = re.findall(r"(?m)^(\d+)@t(\d+)-internal", pbx.asterisk("core show hints"))
        assert sorted(hints) == sorted((e.number, str(t.id)) for t in some.tenants for e in t.extensions)

    pbx.host.run_expect([0], "systemctl stop centralino-agent")
    try:
        loads()
    finally:
        pbx.host.run_expect([0], "systemctl start centralino-agent")


@pytest.mark.usefixtures("panel", "changed")
def test_with_every_variable_changed_another_pbxs_configuration_goes_live(host: Host) -> None:
    pbx = Pbx(host)
    other = snapshot("hhhhhhhhhhhh", pbx="pbx99")
    pbx.publish(other)
    assert pbx.result(other)["outcome"] == "live"
    assert pbx.endpoints() == {"t175-hhhhhhhhhhhh"}
