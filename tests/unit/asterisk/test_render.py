import re

import pytest
from hypothesis import given, settings

from centralino.asterisk.cli import RELOADS
from centralino.asterisk.objects import Kind, Object
from centralino.asterisk.render import RENDERERS, render
from centralino.asterisk.text import RenderError, step
from centralino.contract.names import tenant_of
from centralino.contract.snapshot import Device, Extension, Snapshot, Tenant
from tests.unit.asterisk.snapshots import device, snapshot, snapshots

SECTION = re.compile(r"^\[([^\]]+)\](?:\(([^)]*)\))?$", re.MULTILINE)


def with_name(name: str) -> Snapshot:
    extension = Extension(number="101", name=name, devices=(device(),))
    return Snapshot(pbx="pbx01", tenants=(Tenant(id=175, name="x", extensions=(extension,)),))


def blocks(text: str, kind: str) -> dict[str, dict[str, str]]:
    """Return the sections of a kind (``device-tls``) with their settings."""
    found = {}
    for block in re.split(r"(?m)^(?=\[)", text):
        match = SECTION.match(block.split("\n")[0])
        if match and match[2] == kind:
            pairs = (line.split("=", 1) for line in block.split("\n")[1:] if "=" in line and line[0] != ";")
            found[match[1]] = dict(pairs)
    return found


def test_each_device_is_an_endpoint_with_its_own_log_in_and_address() -> None:
    text = render(snapshot()).files["pjsip.conf"]
    tls, udp = blocks(text, "device-tls"), blocks(text, "device-udp")
    assert list(tls) == ["t9-ccccccccccc1", "t175-aaaaaaaaaaa1", "t175-bbbbbbbbbbb2"]
    assert list(udp) == ["t175-aaaaaaaaaaa2"]
    assert tls["t175-aaaaaaaaaaa1"] == {
        "context": "t175-internal",
        "auth": "t175-aaaaaaaaaaa1",
        "aors": "t175-aaaaaaaaaaa1",
        "callerid": '"Reception" <101>',
        "accountcode": "t175",
        "set_var": "CENTRALINO_EXTENSION=101",
    }
    assert blocks(text, "device-auth")["t9-ccccccccccc1"] == {"username": "t9-ccccccccccc1", "password": "s3cr3t" * 4}


def test_what_a_phone_forwards_to_is_taken_with_its_escapes() -> None:
    """A 302 with ``sip:103%0D%0AEvent:…`` would write the manager's events, in ``Forward`` of a DialEnd."""
    template = render(snapshot()).files["pjsip.conf"].partition("[device](!)\n")[2].partition("\n[")[0]
    assert "\nredirect_method=uri_core\n" in template


def test_an_extension_rings_and_is_watched_over_all_its_devices() -> None:
    text = render(snapshot()).files["extensions.conf"]
    both = "PJSIP/t175-aaaaaaaaaaa1&PJSIP/t175-aaaaaaaaaaa2"
    assert f"exten => 101,hint,{both}\nexten => 101,1,Gosub(centralino-ring,s,1(t175,{both},101))\n" in text
    assert "exten => 0199,hint,PJSIP/t175-none\n" in text


def test_whatever_dials_a_device_follows_no_forward_of_its_own() -> None:
    """A 302 with ``Local/102%40t9-internal`` would lead to another tenant; Asterisk's own comeback follows it."""
    files = render(snapshot()).files
    options = re.findall(r"[,(]Dial\([^,]+,\d+,(.*)\)\n", files["extensions.conf"])
    assert options == ['t${IF($["${CENTRALINO_EXTENSION}"!=""]?T)}i', "ti"]
    lots = re.split(r"(?m)^(?=\[)", files["res_parking.conf"])
    for lot in (lot for lot in lots if lot.startswith("[t")):
        assert "comebacktoorigin=no\ncomebackcontext=centralino-comeback\n" in lot
    assert "[centralino-comeback]\nexten => s,1," in files["extensions.conf"]


def test_each_tenant_has_a_parking_lot_and_takes_calls_from_its_own_alone() -> None:
    files = render(snapshot()).files
    assert re.findall(r"(?m)^\[(t.*)\]$", files["res_parking.conf"]) == ["t9-parking", "t175-parking"]
    contexts = _contexts(files["extensions.conf"])
    for tenant in ("t9", "t175"):
        assert f"exten => _*85XXX,1,ParkedCall({tenant}-parking,${{EXTEN:3}})\n" in contexts[f"{tenant}-internal"]
        assert len(re.findall(r"t\d+-parking", contexts[f"{tenant}-internal"])) == 1


def test_who_takes_a_parked_call_may_transfer_it() -> None:
    """Asterisk's word for who takes it is "caller"; without it the page's attended transfer does nothing there."""
    lots = re.split(r"(?m)^(?=\[)", render(snapshot()).files["res_parking.conf"])
    tenants = [lot for lot in lots if lot.startswith("[t")]
    assert [lot.count("parkedcalltransfers=caller\n") for lot in tenants] == [1, 1]


def test_a_parked_call_that_comes_back_waits_again_in_its_space() -> None:
    """By default it is the first free one, and whoever was told the former number takes another call."""
    comeback = _contexts(render(snapshot()).files["extensions.conf"])["centralino-comeback"]
    park = "exten => s,n,Park(${PARKEDLOT},sc(centralino-comeback,s,ring))\n"
    assert f"exten => s,n(wait),Set(PARKINGEXTEN=${{PARKING_SPACE}})\n{park}" in comeback
    assert f"exten => s,n,Set(PARKINGEXTEN=)\n{park}" in comeback


def test_codes_set_what_the_ring_reads_of_the_same_tenant() -> None:
    """What both do is tried in molecule/cti, on Asterisk."""
    contexts = _contexts(render(snapshot()).files["extensions.conf"])
    forwards = [f"_*72{'X' * digits}" for digits in range(2, 9)]
    for tenant in ("t9", "t175"):
        body = contexts[f"{tenant}-internal"]
        wishes = re.findall(r"exten => (\S+),1,Gosub\(centralino-wish,s,1\((\w+),", body)
        assert wishes == [(code, tenant) for code in ("*78", "*79", *forwards, "*73")]
    ring, note = contexts["centralino-ring"], contexts["centralino-wish"]
    for kind in ("dnd", "forward"):
        assert f"PRESENCE_STATE(CustomPresence:${{ARG1}}-{kind}-${{ARG3}})" in re.sub(r",(value|message)\)", ")", ring)
    assert "Set(PRESENCE_STATE(CustomPresence:${ARG1}-${ARG3}-${CENTRALINO_EXTENSION})=" in note
    assert set(re.findall(r"Goto\((\S+),\S+,1\)", ring)) == {"${ARG1}-internal"}


def test_no_pattern_matches_what_is_no_digit() -> None:
    """``.`` and ``!`` match CR and LF, too: who dials ``*721%0D%0AEvent:…`` would write the manager's events."""
    extensions = re.findall(r"(?m)^exten => ([^,]+),", render(snapshot()).files["extensions.conf"])
    patterns = [extension for extension in extensions if extension.startswith("_")]
    assert patterns
    assert [pattern for pattern in patterns if not re.fullmatch(r"_[0-9*X]+", pattern)] == []
    for pattern in ("_*72X.", "_X!"):
        with pytest.raises(RenderError):
            step(pattern, "1", "Hangup()")


def test_the_order_of_a_snapshot_changes_nothing() -> None:
    one = snapshot()
    tenants = tuple(t.model_copy(update={"extensions": t.extensions[::-1]}) for t in one.tenants[::-1])
    assert render(one.model_copy(update={"tenants": tenants})) == render(one)


def test_a_change_of_a_name_changes_only_the_file_that_holds_it() -> None:
    one, other = render(with_name("Reception")), render(with_name("Surgery"))
    assert one.objects["extensions.conf"] == other.objects["extensions.conf"]
    assert one.objects["pjsip.conf"] != other.objects["pjsip.conf"], "the mark tells the two texts apart"


@given(snapshots())
@settings(max_examples=200, deadline=None)
def test_any_snapshot_makes_its_objects_and_no_others(some: Snapshot) -> None:
    release = render(some)
    devices = {d.endpoint: t.id for t in some.tenants for e in t.extensions for d in e.devices}
    text = release.files["pjsip.conf"]
    endpoints = blocks(text, "device-tls") | blocks(text, "device-udp")
    assert set(endpoints) == set(devices)
    for name, values in endpoints.items():
        assert tenant_of(values["context"]) == devices[name]
        assert values.keys() == {"context", "auth", "aors", "callerid", "accountcode", "set_var"}
        assert len(values["callerid"].rsplit("<", 1)[0].strip(' "').encode()) <= 79
    for context, body in _contexts(release.files["extensions.conf"]).items():
        owner = tenant_of(context)
        assert {tenant_of(name) for name in re.findall(r"PJSIP/([a-z0-9-]+)", body)} <= {owner}


def _contexts(text: str) -> dict[str, str]:
    parts = re.split(r"(?m)^\[([^\]]+)\]\n", text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("name", ['x"\n[evil]', "a;b", "a\x00b", "a\\b", "a\rb"])
def test_what_slipped_past_the_contract_is_refused(name: str) -> None:
    extension = Extension.model_construct(number="101", name=name, devices=(device(),))
    tenant = Tenant.model_construct(id=175, name="x", extensions=(extension,))
    with pytest.raises(RenderError):
        render(Snapshot.model_construct(pbx="pbx01", tenants=(tenant,)))


@pytest.mark.parametrize("endpoint", ["t175-x](y)\n[z", "t175 x", ""])
def test_a_name_that_would_open_a_section_is_refused(endpoint: str) -> None:
    bad = Device.model_construct(endpoint=endpoint, secret="s" * 20, transport="tls")
    extension = Extension.model_construct(number="101", name="x", devices=(bad,))
    tenant = Tenant.model_construct(id=175, name="x", extensions=(extension,))
    with pytest.raises(RenderError):
        render(Snapshot.model_construct(pbx="pbx01", tenants=(tenant,)))


def test_a_long_name_ends_with_a_whole_character() -> None:
    assert '"' + "é" * 39 + '" <101>' in render(with_name("é" * 80)).files["pjsip.conf"]


def test_every_file_has_its_reload() -> None:
    assert RENDERERS.keys() == RELOADS.keys()


def test_the_objects_are_those_of_the_snapshot() -> None:
    objects = render(snapshot()).objects
    kinds = [kind for kind, _ in objects["pjsip.conf"]]
    assert (kinds.count(Kind.ENDPOINT), kinds.count(Kind.AUTH), kinds.count(Kind.AOR)) == (4, 4, 5)
    assert Object(Kind.HINT, "101@t9-internal: PJSIP/t9-ccccccccccc1") in objects["extensions.conf"]
    lots = {name for _, name in objects["res_parking.conf"] if not name.startswith("centralino-")}
    assert lots == {"t9-parking", "t175-parking"}
