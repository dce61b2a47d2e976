"""A queue in the text form of ``Action: Queues``, which is neither event nor response."""

import re

_HEAD = re.compile(
    r"(?P<QueueName>\S+) has (?P<Calls>\d{1,9}) calls \(max (?P<Maxlen>\d{1,9}|unlimited)\) "
    r"in '(?P<Strategy>[^']*)' strategy "
    r"\((?P<Holdtime>\d{1,9})s holdtime, (?P<Talktime>\d{1,9})s talktime\), "
    r"W:(?P<Weight>\d{1,9}), C:(?P<CallsCompleted>\d{1,9}), A:(?P<CallsAbandoned>\d{1,9}), "
    r"SL:(?P<ServiceLevel>[\d.,]{1,12}%)(?:, SL2:[\d.,]{1,12}%)? within (?P<ServiceLevelPeriod>\d{1,9})s"
)
_TEXTS = frozenset(("QueueName", "Strategy", "ServiceLevel"))


def parse(text: str) -> dict[str, str | int] | None:
    """Return a queue's figures under amiws' names (an unlimited ``Maxlen`` is 0), or None for other text."""
    head = _HEAD.match(text)
    if head is None:
        return None
    figures: dict[str, str | int] = {
        name: value if name in _TEXTS else int(value.replace("unlimited", "0"))
        for name, value in head.groupdict().items()
    }
    members, _, callers = text[head.end() :].partition("Callers:")
    figures["MembersCount"] = _entries(members.partition("Members:")[2])
    figures["CallersCount"] = _entries(callers)
    return figures


def _entries(block: str) -> int:
    return sum(1 for line in block.splitlines() if line.startswith("      "))
