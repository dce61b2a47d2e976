"""The API over HTTPS: takes a request, checks it against the schema, and answers in Proxmox's shape."""

import asyncio
import importlib
import json
import logging
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from lab.errors import LabError
from lab.proxmox import api, auth, crm, disks, schema
from lab.proxmox.api import remote
from lab.proxmox.api.call import METHODS, Call
from lab.proxmox.errors import ApiError, ParameterError, TaskError
from lab.proxmox.jobs import Scheduler
from lab.proxmox.replication import Replicator
from lab.proxmox.runtime import Runtime
from lab.proxmox.state import Store
from lab.proxmox.tasks import Tasks

for _module in pkgutil.iter_modules(api.__path__):  # importing them fills the table of methods
    importlib.import_module(f"{api.__name__}.{_module.name}")

MANAGER: web.AppKey[crm.Manager] = web.AppKey("manager", crm.Manager)
"""Where the application keeps what loses nodes and brings them back."""
BODY_BYTES = 512 * 1024
"""The largest body that a node takes."""

log = logging.getLogger(__name__)


def make_app(store: Store, runtime: Runtime) -> web.Application:
    """Return the web application."""
    tasks = Tasks(store)
    disks.forget_half_made(store.cluster)
    manager = crm.Manager(store, runtime)
    store.save()

    async def handle(request: web.Request) -> web.Response:
        return await _written(request, answer(request, store, tasks, runtime, manager))

    async def switch(request: web.Request) -> list[str]:
        change = manager.lose if request.match_info["power"] == "lost" else manager.give_back
        await change(request.match_info["node"])
        return sorted(store.cluster.lost)

    async def take(request: web.Request) -> None:
        await manager.take(int(request.match_info["vmid"]), request.match_info["node"])

    async def speak(request: web.Request) -> None:
        words = request.match_info
        await remote.speak(store, words["ticket"], words["word"], await request.json())

    async def finish(app: web.Application) -> None:
        del app
        await tasks.finish()

    async def watch(app: web.Application) -> AsyncIterator[None]:
        del app
        works = manager.watch(), Replicator(store, runtime).watch(), Scheduler(store, tasks, runtime, manager).watch()
        watching = [asyncio.create_task(work) for work in works]
        yield
        for one in watching:
            one.cancel()

    app = web.Application(client_max_size=BODY_BYTES)
    app[MANAGER] = manager
    app.cleanup_ctx.append(watch)
    app.router.add_route("*", "/api2/json/{path:.*}", handle)
    # No node has these: the lab's own way to pull a plug, for whoever has the API's token.
    app.router.add_post("/lab/nodes/{node}/{power:lost|back}", _own(store, switch))
    # Nor this: what root does on a node, below /etc/pve.
    app.router.add_post(r"/lab/nodes/{node}/take/{vmid:\d+}", _own(store, take))
    # Nor this: what the nodes of two clusters say to each other through a web socket.
    app.router.add_post("/lab/tunnels/{ticket}/{word:arrive|quit}", _own(store, speak))
    app.on_cleanup.append(finish)
    return app


def _own(
    store: Store, work: Callable[[web.Request], Awaitable[Any]]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the handler of a request that no node has: for whoever may use the API."""

    async def handle(request: web.Request) -> web.Response:
        async def done() -> Any:  # noqa: ANN401 (any JSON)
            auth.authenticate(store.cluster, request.headers, request.cookies, request.method)
            return await work(request)

        return await _written(request, done())

    return handle


async def _written(request: web.Request, data: Awaitable[Any]) -> web.Response:
    """Return the answer to a request, whatever becomes of it."""
    try:
        return web.json_response({"data": await data})
    except ApiError as error:
        return refusal(error)
    except (LabError, TaskError) as error:
        return refusal(ApiError(500, str(error)))
    except Exception as error:
        log.exception("%s %s", request.method, request.path)
        return refusal(ApiError(500, f"internal error of the stand-in: {error}"))


def refusal(error: ApiError) -> web.Response:
    """Return a refusal as a node writes it: the sentence in the status line, faults by parameter in the body."""
    body: dict[str, Any] = {"data": None, "message": error.message + "\n"}
    if error.errors:
        body["errors"] = {name: fault.rstrip("\n") + "\n" for name, fault in error.errors.items()}
    reason = " ".join(error.message.split())[:500]
    return web.json_response(body, status=error.status, reason=reason)


async def answer(request: web.Request, store: Store, tasks: Tasks, runtime: Runtime, manager: crm.Manager) -> Any:  # noqa: ANN401 (any JSON)
    """Return the data that a request asks for. Raises :class:`ApiError`."""
    path = request.rel_url.raw_path.removeprefix("/api2/json")
    method, variables = schema.load().find(request.method, path)
    if method.permissions.get("user") == "world":
        caller = auth.Caller("")
    else:
        caller = auth.authenticate(store.cluster, request.headers, request.cookies, request.method)
    given = await read_parameters(request)
    if twice := {name: "duplicate parameter (already defined in URI)" for name in variables if name in given}:
        raise ParameterError(twice)
    parameters = schema.check(method, {**given, **variables})
    if parameters.get("node") == "localhost":
        address = request.transport.get_extra_info("sockname")[0] if request.transport else ""
        parameters |= {"node": remote.local_node(store, address)}
    if caller.name:
        auth.authorise(store.cluster, caller, method, parameters)
    await _reach(store, method, parameters)
    if (method.verb, method.path) not in METHODS:
        raise ApiError(501, f"Method '{method.verb} {method.path}' is in the API but not in the lab's stand-in")
    return await METHODS[method.verb, method.path](Call(caller, parameters, store, tasks, runtime, manager))


async def _reach(store: Store, method: schema.Method, parameters: Mapping[str, Any]) -> None:
    """Refuse what a cluster that is not whole refuses: calls for a dead node, and without a quorum every write."""
    node = str(parameters.get("node", ""))
    if "{node}" in method.path and node in store.nodes and not crm.online(store, node):
        await asyncio.sleep(crm.DEAD_SECONDS)
        raise ApiError(595, "No route to host")
    if method.verb != "GET" and not crm.quorate(store):
        raise ApiError(500, "Permission denied")


async def read_parameters(request: web.Request) -> dict[str, Any]:
    """Return the query's and the body's parameters; a name that occurs more than once is a list."""
    pairs: list[tuple[str, Any]] = list(request.query.items())
    body = await request.text() if request.can_read_body else ""
    if body and request.content_type == "application/json":
        try:
            content = json.loads(body)
        except ValueError as error:
            raise ApiError(400, "malformed JSON string") from error
        if not isinstance(content, dict):
            raise ApiError(400, "the request's body is no JSON object")
        pairs += content.items()
    elif body and request.content_type in ("application/x-www-form-urlencoded", "application/octet-stream"):
        pairs += parse_qsl(body, keep_blank_values=True)
    elif body:
        raise ApiError(415, f"upload of '{request.content_type}' is not supported")
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found
