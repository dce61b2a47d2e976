"""What Asterisk's listings say, as objects (pure).

Only tenants' objects and the marks of our files are kept: what the static files and Asterisk's own modules make is not
a release's business. Formats are those of Asterisk 22 (``res_pjsip/pjsip_configuration.c``, ``main/pbx.c``).
"""

import re

from centralino.asterisk.dialplan import MARK_CONTEXT
from centralino.asterisk.objects import Kind, Object
from centralino.asterisk.text import MARK_PREFIX
from centralino.contract.names import tenant_of

_CONTEXT = re.compile(r"\[ Context '([^']+)' created by ")
_EXTENSION = re.compile(r"  '([^']+)' =>\s+(?:hint: (\S+)|\d+\. )")


def endpoints(listing: str) -> frozenset[Object]:
    """Parse ``pjsip list endpoints``: ``Endpoint:  name/caller-number   state …``."""
    return _pjsip(listing, "Endpoint:", Kind.ENDPOINT)


def auths(listing: str) -> frozenset[Object]:
    """Parse ``pjsip list auths``: ``Auth:  name/user name``."""
    return _pjsip(listing, "Auth:", Kind.AUTH)


def aors(listing: str) -> frozenset[Object]:
    """Parse ``pjsip list aors``: ``Aor:  name   max_contacts``; cut after 37 characters, which no name of ours has."""
    return _pjsip(listing, "Aor:", Kind.AOR)


def dialplan(listing: str) -> frozenset[Object]:
    """Parse ``dialplan show``, which unlike ``core show hints`` cuts nothing."""
    objects = set[Object]()
    context = ""
    for line in listing.splitlines():
        if opened := _CONTEXT.match(line):
            context = opened[1]
        elif (found := _EXTENSION.match(line)) and (tenant_of(context) or context == MARK_CONTEXT):
            place = f"{found[1]}@{context}"
            objects.add(Object(Kind.EXTENSION, place))
            if found[2]:
                objects.add(Object(Kind.HINT, f"{place}: {found[2]}"))
    return frozenset(objects)


def parking_lots(listing: str) -> frozenset[Object]:
    """Parse ``parking show``, a block a lot: a lot that was taken away stays, disabled, while a call is in it."""
    blocks = listing.split("Parking Lot: ")[1:]
    names = [block.split()[0] for block in blocks if re.search(r"^Enabled\s*:\s*[Yy]es", block, re.MULTILINE)]
    return frozenset(Object(Kind.PARKING_LOT, name) for name in names if _ours(name))


def _pjsip(listing: str, label: str, kind: Kind) -> frozenset[Object]:
    objects = set[Object]()
    for line in listing.splitlines():
        words = line.split()
        # the heading has the same label, and "<Endpoint/CID…>" behind it
        if len(words) > 1 and words[0] == label and _ours(name := words[1].partition("/")[0]):
            objects.add(Object(kind, name))
    return frozenset(objects)


def _ours(name: str) -> bool:
    return tenant_of(name) is not None or name.startswith(MARK_PREFIX)
