"""Which phone the certificate names that its vendor put into it."""

import re

_ATTRIBUTE = re.compile(r"(?:^|[,+])\s*([A-Za-z][A-Za-z0-9-]*)=((?:\\.|[^\\,+])*)")
_ESCAPED = re.compile(r"\\(?:([0-9A-Fa-f]{2})|(.))")

_PAIR = "[0-9A-Fa-f]{2}"
_MAC = f"({_PAIR}(?:{_PAIR}){{5}}|{_PAIR}(?::{_PAIR}){{5}}|{_PAIR}(?:-{_PAIR}){{5}})"
_WHOLE = re.compile(_MAC)
_IN_NAME = (
    _WHOLE,
    re.compile(rf"(?:[A-Za-z0-9-]+-)?SEP{_MAC}"),
    re.compile(rf"(?:[^,]*,\s*)?MAC[:=]?\s*{_MAC}(?:,.*)?", re.IGNORECASE),
)
_PLACES = {"CN": _IN_NAME, "ST": (_WHOLE,), "S": (_WHOLE,), "SN": (_WHOLE,)}
"""What a MAC looks like in an attribute. In others there are serial numbers, which can look like one."""


def mac_in(subject: str) -> str | None:
    """Return the MAC in a certificate's subject, twelve small hexadecimal digits; None where there is none, or several.

    ``subject`` is as RFC 4514 writes it and nginx passes it on (``$ssl_client_s_dn``). These forms are read:

    - ``CN=0004f2abcdef``, also with ``:`` or ``-`` between pairs: the certificate of a Polycom is unique to its MAC
      (https://documents.polycom.com/bundle/ucs-ag-5-9-0/page/c-ucs-ag-using-the-factory-installed-certificate.html),
      a Snom's is a built-in one (https://service.snom.com/display/wiki/TLS+Support), and so is a Yealink's, which
      sends a generic one, the same in many phones and without MAC, where it has no other ("Using Security
      Certificates on Yealink IP Phones");
    - ``OU=SPA-962, L=88012BA01234, S=000e08abcdef``: product, serial number and MAC of a Cisco SPA or multiplatform
      phone; the generic one says ``ciscogeneric`` ("Provisioning Guide for Cisco SPA100 and SPA200 Series",
      "Cisco IP Phone 8800 Series Multiplatform Phones Administration Guide"). OpenSSL writes ``ST`` for that ``S``,
      or ``SN`` where a surname was meant;
    - ``CN=CP-7841-SEP001122334455``: other Cisco phones;
    - ``CN=SPA504G, MAC: 001122334455, Serial: ...``, a name that labels what it holds.

    No page of a vendor's shows a whole subject but Cisco's. What has another form counts as without MAC.
    """
    found = {
        match[1]
        for kind, value in _ATTRIBUTE.findall(subject)
        for form in _PLACES.get(kind.upper(), ())
        if (match := form.fullmatch(_ESCAPED.sub(_plain, value).strip()))
    }
    macs = {re.sub("[:-]", "", mac).lower() for mac in found} - {"0" * 12}
    return macs.pop() if len(macs) == 1 else None


def _plain(escaped: re.Match[str]) -> str:
    return chr(int(escaped[1], 16)) if escaped[1] else escaped[2]
