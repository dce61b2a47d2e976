"""The proxy's metrics, gathered from its parts when Prometheus asks."""

from collections.abc import Iterable, Iterator

from centralino.cti.actions.desk import Desk
from centralino.cti.ami.connection import Connection
from centralino.cti.metrics import Family
from centralino.cti.web.feeds import Feeds


def families(connections: Iterable[Connection], feeds: Feeds, desk: Desk, keys: int) -> Iterator[Family]:
    """Yield everything that is measured."""
    pbxes, counts = list(connections), feeds.counts

    def per_pbx(name: str) -> list[tuple[dict[str, str], float]]:
        return [({"pbx": pbx.server.name}, float(getattr(pbx, name))) for pbx in pbxes]

    yield Family("ami_up", "gauge", "Whether the PBX is connected and logged in.", per_pbx("up"))
    yield Family("ami_connects_total", "counter", "Log-ins to the PBX.", per_pbx("connects"))
    yield Family("ami_messages_total", "counter", "Messages that the PBX has sent.", per_pbx("messages"))
    yield Family("ami_dropped_frames_total", "counter", "Frames that were too long.", per_pbx("dropped_frames"))
    not_taken = [({"pbx": pbx.server.name}, float(counts.not_taken[pbx.server.name])) for pbx in pbxes]
    yield Family("ami_not_taken_total", "counter", "Messages and lists that made an error of ours.", not_taken)
    clients = [({"format": form}, float(number)) for form, number in feeds.numbers().items()]
    yield Family("clients", "gauge", "Browsers that have been let in.", clients)
    refused = [({"reason": reason}, float(number)) for reason, number in sorted(counts.refused.items())]
    yield Family("refused_clients_total", "counter", "Browsers that were not let in.", refused)
    broken = [({"reason": reason}, float(number)) for reason, number in sorted(counts.broken.items())]
    yield Family("broken_connections_total", "counter", "Connections that ended before their request had come.", broken)
    actions = {"success": desk.carried_out, **desk.refused}
    results = [({"result": result}, float(number)) for result, number in sorted(actions.items())]
    yield Family("actions_total", "counter", "Actions, by what came of them.", results)
    for name, kind, text, value in (
        ("writes_total", "counter", "Writes to browsers; each holds what came together.", counts.written_messages),
        ("written_bytes_total", "counter", "Bytes written to browsers.", counts.written_bytes),
        ("slow_readers_total", "counter", "Times that a browser fell behind and lost its place.", counts.slow),
        ("let_go_total", "counter", "Browsers that did not catch up or answered no ping.", counts.let_go),
        ("longest_lag_seconds", "gauge", "Longest time from event to writing since the last look.", counts.take_lag()),
        ("token_keys", "gauge", "Public keys that tokens are verified with.", keys),
    ):
        yield Family(name, kind, text, [({}, float(value))])  # type: ignore[arg-type] # the table's words are the two
