"""``GET /health``: whether the panel can do its work."""

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe


@never_cache
@login_not_required
@require_safe
def health(_: HttpRequest) -> JsonResponse:
    """Answer 200 where the database answers, else 503; nothing about the site is told."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM panel_tenant LIMIT 1")
    except DatabaseError:
        return JsonResponse({"status": "failing", "database": "failing"}, status=503)
    return JsonResponse({"status": "ok", "database": "ok"})
