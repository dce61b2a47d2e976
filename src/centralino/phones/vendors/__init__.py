"""Each vendor's files, and which vendor is whose."""

from centralino.phones.models import MODELS
from centralino.phones.vendors import cisco, fanvil, generic, grandstream, polycom, snom, yealink
from centralino.phones.vendors.vendor import Vendor

VENDORS: dict[str, Vendor] = {
    "cisco": cisco.VENDOR,
    "fanvil": fanvil.VENDOR,
    "generic": generic.VENDOR,
    "grandstream": grandstream.VENDOR,
    "polycom": polycom.VENDOR,
    "snom": snom.VENDOR,
    "yealink": yealink.VENDOR,
}


def vendor_of(model: str) -> Vendor:
    """Return the vendor of a known model."""
    return VENDORS[MODELS[model].vendor]
