"""Phones for the tests: a second Asterisk on the guest that registers at the first as desk phones do.

What is tried is the first one, which cannot tell these from phones of flesh and plastic: each has an account of its own
over SIP, answers or rings for as long as it is told, and calls where it is told. It speaks,
as a phone does that somebody holds.
"""

import re
from collections.abc import Iterable

from beside import Beside
from scenario_fixtures import within
from testinfra.host import Host

PORT = 5070
DIALPLAN = """
[phones]
exten => _X.,1,GotoIf($["${DIVERTS_${EXTEN}}" != "" & "${DIVERTS_${EXTEN}}" != "nowhere"]?divert)
same => n,GotoIf($["${RINGS_${EXTEN}}" = "yes"]?ring)
same => n,Answer()
same => n,Milliwatt()
same => n(ring),Ringing()
same => n,Wait(120)
same => n(divert),Transfer(PJSIP/sip:${DIVERTS_${EXTEN}}@<pbx>)
same => n,Hangup()

; 101102: the phone 101 calls 102, and notes why that ended
[calling]
exten => _X.,1,Set(GLOBAL(ENDED)=)
same => n,Dial(PJSIP/${EXTEN:0:3}/sip:${EXTEN:3}@<pbx>,10)
same => n,Set(GLOBAL(ENDED)=${HANGUPCAUSE})

; 101102: the phone 101 calls 102, and holds it while a transfer waits for its number, which does not come
[holding]
exten => _X.,1,Dial(PJSIP/${EXTEN:0:3}/sip:${EXTEN:3}@<pbx>,10,T)
exten => keys,1,Wait(2)
same => n,SendDTMF(#)
same => n,Wait(60)
"""
TRANSPORT = f"""
[transport]
type=transport
protocol=udp
bind=127.0.0.1:{PORT}

[pbx]
type=endpoint
context=phones
disallow=all
allow=alaw
identify_by=ip
transport=transport

[pbx]
type=identify
endpoint=pbx
match=127.0.0.1
match={{address}}
"""
PHONE = """
[{number}]
type=endpoint
context=phones
disallow=all
allow=alaw
identify_by=auth_username
from_user={endpoint}
moh_passthrough=yes
outbound_auth={number}
transport=transport

[{number}]
type=auth
auth_type=digest
username={endpoint}
password={secret}

[{number}]
type=registration
transport=transport
server_uri=sip:{address}
client_uri=sip:{endpoint}@{address}
contact_user={number}
outbound_auth={number}
expiration=60
max_random_initial_delay=1
"""


class Phones:
    """All phones; each goes by the number of its extension."""

    def __init__(self, host: Host, address: str, port: int = 5060) -> None:
        self._asterisk = Beside(host, "test-phones")
        self._address = address
        self._pbx = f"{address}:{port}"

    def start(self, accounts: Iterable[tuple[str, str, str]]) -> None:
        """Switch them on: number, endpoint and secret of each."""
        phones = [PHONE.format(number=n, endpoint=e, secret=s, address=self._pbx) for n, e, s in accounts]
        pjsip = TRANSPORT.format(address=self._address) + "".join(phones)
        rtp = "[general]\nrtpstart=30000\nrtpend=31000\n"
        dialplan = DIALPLAN.replace("<pbx>", self._pbx)
        features = "[general]\ntransferdigittimeout=8\ntransferdialattempts=1\n"
        files = {"pjsip.conf": pjsip, "extensions.conf": dialplan, "rtp.conf": rtp, "features.conf": features}
        self._asterisk.set_up(files)
        self._asterisk.start()

    def stop(self) -> None:
        """Switch them off and forget what they did."""
        self._asterisk.remove()

    def call(self, caller: str, number: str) -> None:
        """Let a phone dial; it talks until somebody hangs up."""
        self._asterisk.command(f"channel originate PJSIP/{caller}/sip:{number}@{self._pbx} application Milliwatt")

    def call_and_hold(self, caller: str, number: str) -> None:
        """Let a phone dial, and after two seconds put the other on hold for eight (``sendonly``, RFC 3264 §8.4)."""
        self._asterisk.command(f"channel originate Local/{caller}{number}@holding/n extension keys@holding")

    def refused(self, caller: str, number: str) -> int:
        """Let a phone dial what nobody answers; return why not, as a cause of ITU-T Q.850."""
        self._asterisk.command(f"channel originate Local/{caller}{number}@calling application Wait 20")
        cause = within(15, lambda: re.search(r"ENDED=(\d+)", self._asterisk.command("dialplan show globals")))
        assert cause, f"{caller} has called {number}, and the call has not ended"
        return int(cause[1])

    def rings(self, number: str, *, long: bool = True) -> None:
        """Say whether a phone is left ringing or answered at once."""
        self._asterisk.command(f"dialplan set global RINGS_{number} {'yes' if long else 'no'}")

    def diverts(self, number: str, to: str = "") -> None:
        """Say where a phone sends its callers by itself (SIP 302), in the form of a URI's user; nowhere by default."""
        self._asterisk.command(f"dialplan set global DIVERTS_{number} {to or 'nowhere'}")

    def hang_up(self) -> None:
        """Put all handsets down."""
        self._asterisk.command("channel request hangup all")
