"""From a phone's hang-up to the changed colour in the browser: SIP, Asterisk, AMI, CTI proxy, WebSocket, page.

The time counts from the BYE that leaves the phone, so it holds a little more than "from the hang-up in Asterisk".
"""

from statistics import quantiles

from playwright.sync_api import Page

from lab.cluster import Cluster
from tests.conftest import LogIn, MakePhone

CALLS = 100
TALK = 0.2

RECORD_FREE = """number => {
  window.freed = [];
  const tile = document.querySelector(`[data-extension="${number}"]`);
  new MutationObserver(() => {
    if (tile.dataset.state === 'free') window.freed.push(performance.timeOrigin + performance.now());
  }).observe(tile, {attributeFilter: ['data-state']});
}"""


def milliseconds(page: Page, count: int) -> float:
    """Wait until the tile has turned free ``count`` times and return the last time, in ms since 1970."""
    page.wait_for_function("count => window.freed.length >= count", arg=count, timeout=5000)
    freed: list[float] = page.evaluate("window.freed")
    return freed[-1]


def test_hangup_to_colour(cluster: Cluster, make_phone: MakePhone, log_in: LogIn) -> None:
    accounts = cluster.accounts(175)
    caller, callee = make_phone("caller", accounts["101"]), make_phone("callee", accounts["102"])
    page = log_in("admin@rossi.example")
    caller.register()
    callee.register()
    page.wait_for_selector('[data-extension="102"][data-state=free]')
    page.evaluate(RECORD_FREE, "102")
    taken = []
    for count in range(1, CALLS + 1):
        answered = callee.answer(ring=0)
        caller.call("102", talk=TALK).wait()
        answered.wait()
        taken.append(milliseconds(page, count) - caller.hung_up.timestamp() * 1000)
    cuts = quantiles(taken, n=100)
    print(  # noqa: T201
        f"\nhang-up to colour, {CALLS} calls: p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms, "
        f"max {max(taken):.0f} ms (target: p99 at most 150 ms)"
    )
