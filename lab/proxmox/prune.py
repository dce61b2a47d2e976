"""Which backups of a guest are kept: ``prune-backups`` (vzdump(1), "Backup Retention"). Pure."""

import time
from collections.abc import Mapping

_PERIODS = {
    "keep-last": "",
    "keep-hourly": "%Y-%m-%d %H",
    "keep-daily": "%Y-%m-%d",
    "keep-weekly": "%G-%V",
    "keep-monthly": "%Y-%m",
    "keep-yearly": "%Y",
}
"""What makes two backups one period's, in the order in which periods choose; the last backups are each their own."""


def surplus(made: Mapping[str, float], keep: Mapping[str, int]) -> list[str]:
    """Return the backups that go, of name → when it was made (seconds since the epoch).

    Each period keeps the newest backup of its last so many, of those that no finer one has chosen from already.
    """
    counts = {period: keep[period] for period in _PERIODS if keep.get(period)}
    if keep.get("keep-all") or not counts:
        return []
    newest_first = sorted(made, key=lambda name: made[name], reverse=True)
    kept: set[str] = set()
    passed: set[str] = set()
    for period, count in counts.items():
        names = {name: time.strftime(_PERIODS[period], time.localtime(made[name])) or name for name in newest_first}
        served, chosen = {names[name] for name in kept}, set[str]()
        for name in newest_first:
            if name in kept | passed or names[name] in served:
                continue
            if names[name] in chosen:
                passed.add(name)
            elif len(chosen) < count:
                chosen.add(names[name])
                kept.add(name)
    return [name for name in newest_first if name not in kept]
