"""What follows from a log-in, whichever page or interface it was tried at."""

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.contrib.sessions.backends.db import SessionStore
from django.dispatch import receiver
from django.http import HttpRequest

from centralino.panel.addresses import client_address
from centralino.panel.lockout import login_name
from centralino.panel.models import User
from centralino.panel.services import bans


@receiver(user_login_failed)
def _wrong_password(credentials: dict[str, Any], request: HttpRequest | None = None, **_: object) -> None:
    if request is not None:
        bans.wrong_password(client_address(request), login_name(request, credentials))


@receiver(user_logged_in)
def _right_password(user: User, request: HttpRequest | None = None, **_: object) -> None:
    if request is not None:
        bans.right_password(client_address(request), user.login)
        # A session begins here, and nothing else looks at those that nobody has ended.
        SessionStore.clear_expired()
