"""The listings are what Asterisk 22.10.1 printed, with names changed."""

from centralino.asterisk import readback
from centralino.asterisk.objects import Kind, Object, changed_files, differences

ENDPOINTS = """
 Endpoint:  <Endpoint/CID.....................................>  <State.....>  <Channels.>
==========================================================================================

 Endpoint:  carrier                                              Not in use    0 of inf
 Endpoint:  t99999999-abcdefghijklmnopqrstuvwx/101               Unavailable   0 of inf
 Endpoint:  t175-k3v9d0aa11bb/0199                               Not in use    0 of inf

Objects found: 3

"""
AORS = """
      Aor:  <Aor..............................................>  <MaxContact>
==========================================================================================

      Aor:  centralino-0123456789abcdef                          0
      Aor:  t175-k3v9d0aa11bb                                    1

Objects found: 2

"""
AUTHS = """
  I/OAuth:  <AuthId/UserName.............................................................>
==========================================================================================

     Auth:  t175-k3v9d0aa11bb/t175-k3v9d0aa11bb

Objects found: 1

"""
DIALPLAN = """[ Context '__func_periodic_hook_context__' created by 'func_periodic_hook' ]
  'beep' (CID match '') =>  1. Answer()                                   [func_periodic_hook]
                    2. Playback(beep)                             [func_periodic_hook]

[ Context 'centralino-release' created by 'pbx_config' ]
  'centralino-0123456789abcdef' => 1. Hangup()                            [extensions.conf:13]

[ Context 'centralino-ring' created by 'pbx_config' ]
  's' =>            1. Set(CHANNEL(accountcode)=${ARG1})          [extensions.conf:7]
                    2. Dial(${ARG2},45)                           [extensions.conf:8]

[ Context 't175-internal' created by 'pbx_config' ]
  '101' =>          hint: PJSIP/t175-aaaaaaaaaaa1&PJSIP/t175-aaaaaaaaaaa2 [extensions.conf:2]
                    1. Gosub(centralino-ring,s,1(t175,x)) [extensions.conf:3]
  '102' =>          1. Hangup(20)                                 [extensions.conf:5]

-= 6 extensions (19 priorities) in 4 contexts. =-
"""

PARKING = """Parking General Options
-----------------------
Dynamic Parking     :  no

Parking Lot: centralino-463541c36bdd54a8
--------------------------------------------------------------------------
Parking Context     :  centralino-none
Parking Spaces      :  1-1
Enabled             :  yes
Dynamic             :  no

Parking Lot: default
--------------------------------------------------------------------------
Parking Spaces      :  701-750
Enabled             :  yes

Parking Lot: t175-parking
--------------------------------------------------------------------------
Parking Spaces      :  701-799
Enabled             :  yes

Parking Lot: t176-parking
--------------------------------------------------------------------------
Parking Spaces      :  701-799
Enabled             :  no

"""


def test_only_tenants_endpoints_are_read_with_their_whole_names() -> None:
    names = {name for _, name in readback.endpoints(ENDPOINTS)}
    assert names == {"t99999999-abcdefghijklmnopqrstuvwx", "t175-k3v9d0aa11bb"}


def test_auths_and_aors_are_read_and_the_mark_with_them() -> None:
    assert readback.auths(AUTHS) == {Object(Kind.AUTH, "t175-k3v9d0aa11bb")}
    assert {name for _, name in readback.aors(AORS)} == {"centralino-0123456789abcdef", "t175-k3v9d0aa11bb"}


def test_the_dialplan_gives_extensions_hints_and_the_mark() -> None:
    assert readback.dialplan(DIALPLAN) == {
        Object(Kind.EXTENSION, "centralino-0123456789abcdef@centralino-release"),
        Object(Kind.EXTENSION, "101@t175-internal"),
        Object(Kind.HINT, "101@t175-internal: PJSIP/t175-aaaaaaaaaaa1&PJSIP/t175-aaaaaaaaaaa2"),
        Object(Kind.EXTENSION, "102@t175-internal"),
    }


def test_enabled_lots_of_tenants_are_read_and_the_mark_with_them() -> None:
    assert readback.parking_lots(PARKING) == {
        Object(Kind.PARKING_LOT, "centralino-463541c36bdd54a8"),
        Object(Kind.PARKING_LOT, "t175-parking"),
    }


def test_nothing_loaded_is_nothing_found() -> None:
    assert readback.endpoints("No objects found.\n") == frozenset()
    assert readback.dialplan("There is no existence of any dialplan\n") == frozenset()


def test_differences_name_the_first_and_count_the_rest() -> None:
    wanted = {
        "pjsip.conf": frozenset(Object(Kind.ENDPOINT, f"t1-{i:08}") for i in range(8)),
        "extensions.conf": frozenset[Object](),
    }
    found = {"extensions.conf": frozenset({Object(Kind.EXTENSION, "1@t2-internal")})}
    assert changed_files(wanted, found) == ("pjsip.conf", "extensions.conf")
    text = differences(wanted, found)
    assert text.startswith("missing: endpoint t1-00000000, ")
    assert "and 3 more; not asked for: extension 1@t2-internal" in text
    assert differences(wanted, wanted) == ""
