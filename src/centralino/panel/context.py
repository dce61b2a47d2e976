"""What every page shows beside its own matter."""

from typing import Any

from django.http import HttpRequest

from centralino.panel.models import User
from centralino.panel.services import results


def applies(request: HttpRequest) -> dict[str, Any]:
    """Give administrators where the apply stands: of their tenant's PBX, operators of every one.

    Lazy: a page without the footer costs no query.
    """
    user = getattr(request, "user", None)
    if not isinstance(user, User) or not user.administers:
        return {}
    return {"applies": lambda: results.states([user.tenant.pbx] if user.tenant else None)}
