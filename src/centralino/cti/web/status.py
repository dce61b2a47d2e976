"""Plain HTTP beside the WebSocket: ``/health`` for everybody, ``/metrics`` on an address of its own."""

from collections.abc import Callable
from typing import Any

import orjson
from picows import WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def status(code: int, text: bytes) -> WSUpgradeResponseWithListener:
    """Return an answer that is no WebSocket."""
    return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(code, text + b"\n"), None)


def health(report: dict[str, object]) -> WSUpgradeResponseWithListener:
    """Return a health report; status 503 where it is not ``ok``."""
    headers: Any = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    body = orjson.dumps(report)
    if report["status"] == "ok":
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_ok_response(body, headers), None)
    return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(503, body, headers), None)


def metrics_listener(
    page: Callable[[], bytes], report: Callable[[], dict[str, object]]
) -> Callable[[WSUpgradeRequest], WSUpgradeResponseWithListener]:
    """Return what answers on the metrics' address; it never raises, for picows would show the error."""

    def answer(request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        if request.path == b"/metrics":
            headers: Any = {"Content-Type": METRICS_TYPE}
            return WSUpgradeResponseWithListener(WSUpgradeResponse.create_ok_response(page(), headers), None)
        return health(report()) if request.path == b"/health" else status(404, b"not found")

    return answer
