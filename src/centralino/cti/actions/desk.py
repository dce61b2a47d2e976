"""Carries actions out: asks the rules, sends to the PBX, brings the answer to who asked, logs what came of it."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from pydantic import ValidationError

from centralino.contract.live import ActionMessage, ErrorMessage, ResultMessage
from centralino.contract.tokens import Claims
from centralino.cti.actions.facts import Facts
from centralino.cti.actions.phrases import order as order_of_phrase
from centralino.cti.actions.rules import Actor, Order, RefusedError, decide
from centralino.cti.ami.message import Kind, Message
from centralino.cti.boards import Boards
from centralino.cti.web import amiws, frames
from centralino.cti.web.limits import Bucket

log = logging.getLogger(__name__)

ANSWER_TIMEOUT: Final = 10.0
RATE: Final = 2.0
BURST: Final = 10.0
"""Actions a second of one user, over all connections, and how many at once."""
_KNOWN_USERS: Final = 10_000

Send = Callable[[str, str, Mapping[str, str]], str | None]
"""PBX, action, fields → the ActionID under which the answer comes, or None where the PBX cannot be reached."""


class Asker(Protocol):
    """A client that takes actions."""

    def reply(self, frame: bytes) -> None:
        """Send to this client alone."""


class _Question(NamedTuple):
    """An action under way."""

    asker: Asker
    claims: Claims
    order: Order
    told: str | None
    """The client's own name for it: ``id``, or amiws' ``ActionID``."""
    live: bool
    timer: asyncio.TimerHandle


class Desk:
    """Takes actions in both formats."""

    def __init__(self, boards: Boards, send: Send, server_ids: Mapping[str, int]) -> None:
        self.carried_out = 0
        self.refused: dict[str, int] = {}
        """How many actions were refused, by code."""
        self._facts = Facts(boards)
        self._send = send
        self._server_ids = server_ids
        self._questions: dict[tuple[str, str], _Question] = {}
        """PBX and ActionID → what waits for that PBX's answer."""
        self._buckets: dict[str, Bucket] = {}

    def live(self, asker: Asker, claims: Claims, document: dict[str, Any]) -> None:
        """Take a page's message."""
        told = document.get("id")
        told = told if isinstance(told, str) else None
        try:
            message = ActionMessage.model_validate(document)
        except ValidationError as error:
            finding = error.errors(include_input=False, include_url=False)[0]
            field = str(finding["loc"][0]) if finding["loc"] else None
            self._refuse(asker, claims, told, RefusedError("bad_field", finding["msg"], field), "?")
            return
        actor = Actor(claims, self._facts)
        self._carry_out(asker, claims, message.id, message.action, lambda: order_of_phrase(actor, message), live=True)

    def amiws(self, asker: Asker, claims: Claims, document: dict[str, Any]) -> None:
        """Take an object that an amiws client would send on to Asterisk."""
        actor = Actor(claims, self._facts)
        told: str | None = None
        try:
            fields = {name: _text(name, value) for name, value in document.items()}
            told = _take(fields, "ActionID")
            action = _take(fields, "Action") or ""
            wanted = _take(fields, "AMIServerID") or "0"
        except RefusedError as refusal:
            self._refuse(asker, claims, told, refusal, "?")
            return
        if action.lower() == "ping":
            self._pong(asker, claims, told)
            return

        def decided() -> Order:
            order = decide(actor, action, fields)
            if wanted != "0" and wanted != str(self._server_ids.get(order.server, 0)):
                raise RefusedError("unknown_server", "this is not the PBX that you are on: leave it out", "AMIServerID")
            return order

        self._carry_out(asker, claims, told, action, decided, live=False)

    def answered(self, server: str, message: Message) -> None:
        """Take what a PBX answered; what was asked of another one is not answered by it."""
        if message.kind is not Kind.RESPONSE:
            return
        question = self._questions.pop((server, message.headers.get("ActionID", "")), None)
        if question is None:
            return
        question.timer.cancel()
        well = message.name == "Success"
        self.carried_out += well
        _log(question.claims, question.order.action, "success" if well else "failed")
        if not question.live:
            headers = {k: v for k, v in message.headers.items() if k != "ActionID"}
            self._reply_amiws(question, headers)
        elif well:
            question.asker.reply(_frame(ResultMessage(id=question.told)))
        else:
            text = message.headers.get("Message", "Asterisk refused it")
            question.asker.reply(_frame(ErrorMessage(code="failed", message=text, id=question.told)))

    def _carry_out(
        self, asker: Asker, claims: Claims, told: str | None, action: str, decided: Callable[[], Order], *, live: bool
    ) -> None:
        try:
            self._count(claims)
            order = decided()
            action_id = self._sent(order)
        except RefusedError as refusal:
            self._refuse(asker, claims, told, refusal, action)
            return
        key = (order.server, action_id)
        timer = asyncio.get_running_loop().call_later(ANSWER_TIMEOUT, self._unanswered, key)
        self._questions[key] = _Question(asker, claims, order, told, live, timer)

    def _unanswered(self, key: tuple[str, str]) -> None:
        question = self._questions.pop(key, None)
        if question is None:
            return
        refusal = RefusedError("no_answer", "your PBX has not answered; whether it was done is not known")
        self._refuse(question.asker, question.claims, question.told, refusal, question.order.action)

    def _refuse(self, asker: Asker, claims: Claims, told: str | None, refusal: RefusedError, action: str) -> None:
        self.refused[refusal.code] = self.refused.get(refusal.code, 0) + 1
        _log(claims, action, refusal.code)
        field = None if refusal.field is None else refusal.field[:80]
        asker.reply(_frame(ErrorMessage(code=refusal.code, message=str(refusal), field=field, id=told)))

    def _pong(self, asker: Asker, claims: Claims, told: str | None) -> None:
        server = self._facts.home(claims.tenant) or ""
        headers = {"Response": "Success", **({"ActionID": told} if told else {}), "Ping": "Pong"}
        message = Message(Kind.RESPONSE, "Success", headers)
        asker.reply(frames.text(amiws.encode(message, self._server_ids.get(server, 0), server)))

    def _reply_amiws(self, question: _Question, headers: dict[str, str]) -> None:
        told = {"ActionID": question.told} if question.told else {}
        message = Message(Kind.RESPONSE, headers["Response"], {"Response": headers["Response"], **told, **headers})
        server = question.order.server
        question.asker.reply(frames.text(amiws.encode(message, self._server_ids.get(server, 0), server)))

    def _sent(self, order: Order) -> str:
        action_id = self._send(order.server, order.action, order.fields)
        if action_id is None:
            raise RefusedError("pbx_unreachable", "your PBX cannot be reached now: try again later")
        return action_id

    def _count(self, claims: Claims) -> None:
        user = f"{claims.tenant}/{claims.sub}"
        bucket = self._buckets.pop(user, None) or Bucket(asyncio.get_running_loop().time(), RATE, BURST)
        # The last ones to act are at the end; who acted longest ago has a full bucket and can be forgotten.
        self._buckets[user] = bucket
        if len(self._buckets) > _KNOWN_USERS:
            del self._buckets[next(iter(self._buckets))]
        if not bucket.take(asyncio.get_running_loop().time()):
            raise RefusedError("too_many_actions", f"more than {RATE:.0f} actions a second: wait a moment")


def _text(name: str, value: object) -> str:
    """Return a JSON value as amiws writes it into an action."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case None:
            return ""
        case _:
            raise RefusedError("bad_type", "write a text or a whole number", name)


def _take(fields: dict[str, str], wanted: str) -> str | None:
    """Take a field out, its name in any case."""
    found = [name for name in fields if name.lower() == wanted.lower()]
    if len(found) > 1:
        raise RefusedError("bad_field", "this field is there twice", wanted)
    return fields.pop(found[0]) if found else None


def _frame(message: ResultMessage | ErrorMessage) -> bytes:
    return frames.text(message.model_dump_json().encode())


def _log(claims: Claims, action: str, result: str) -> None:
    log.info(
        "action: user=%s tenant=%d role=%s action=%s result=%s",
        claims.sub, claims.tenant, claims.role, ascii(action[:40]), result,
    )  # fmt: skip
