"""Phones of no vendor that is known here: one JSON document that a script can read."""

import json
from typing import Any

from centralino.phones.clock import clock
from centralino.phones.phone import Account, Phone
from centralino.phones.vendors.vendor import Template, Vendor, key_places


def _render(phone: Phone) -> str:
    settings = phone.settings
    document: dict[str, Any] = {
        "url": f"{phone.url}{phone.mac}.json",
        "accounts": [_account(phone, account) for account in phone.accounts],
        **settings.model_dump(mode="json", exclude={"keys", "phonebook"}),
        "time_zone_posix": clock(settings.time_zone).posix,
        "keys": [key.model_dump() for _, key in key_places(phone)],
    }
    if phone.passwords:
        document["passwords"] = {"admin": phone.passwords.admin, "user": phone.passwords.user}
    if phone.ca:
        document["ca"] = phone.ca
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _account(phone: Phone, account: Account) -> dict[str, Any]:
    told = {
        "name": account.name,
        "number": account.number,
        "user": account.endpoint,
        "server": phone.server.host,
        "port": phone.server.port(account.transport),
        "transport": account.transport,
        "srtp": account.transport == "tls",
    }
    return told | ({} if account.secret is None else {"password": account.secret})


VENDOR = Vendor(files={"{mac}.json": Template(_render, "application/json")})
