"""The panel's addresses.

``/agent/`` is for guests alone, and ``/rpc`` for operators' programs: nginx serves each on a port of its own, behind
certificates, and to nobody on 443.
"""

from django.urls import include, path

from centralino.panel import agent_api, health, pages, phone_files, rpc

_agent = [
    path("snapshot", agent_api.snapshot),
    path("result", agent_api.result),
    path("keys", agent_api.keys),
    path("check-syncs", agent_api.check_syncs),
    path("bans", agent_api.bans),
]

urlpatterns = [
    path("", pages.live, name="live"),
    path("live/token", pages.live_token, name="live-token"),
    path("extensions", pages.extensions, name="extensions"),
    path("tenants", pages.tenant_list, name="tenants"),
    path("bans", pages.ban_list, name="bans"),
    path("bans/lift", pages.lift_ban, name="lift-ban"),
    path("login", pages.Login.as_view(), name="login"),
    path("logout", pages.Logout.as_view(), name="logout"),
    path("health", health.health),
    path("agent/v1/", include(_agent)),
    path("rpc", rpc.entrance),
    path("phones/<str:name>", phone_files.by_mac),
    path("phones/<str:folder>/<str:name>", phone_files.by_folder),
]

handler400 = pages.bad_request
handler403 = pages.forbidden
handler404 = pages.not_found
handler500 = pages.server_error
