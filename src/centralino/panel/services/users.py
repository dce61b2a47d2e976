"""People and their passwords."""

from collections.abc import Mapping

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as PasswordError
from django.db import IntegrityError, transaction
from pydantic import TypeAdapter, ValidationError

from centralino.contract.tenant_file import LOGIN_FORM, Login
from centralino.panel.models import Role, User
from centralino.panel.services.errors import ServiceError

_LOGIN = TypeAdapter[str](Login)


def set_password(login: str, password: str) -> bool:
    """Give a log-in a password; tell whether that changed anything.

    A change ends the person's sessions: Django binds them to the password.

    Raises:
        ServiceError: there is no such log-in, or the password is too weak.

    """
    with transaction.atomic():
        user = User.objects.select_for_update().filter(login=login).first()
        if user is None:
            raise ServiceError(f"login {login}: there is none: name it in a tenant file and import that first")
        if user.check_password(password):
            return False
        user.password = _hash(user, password)
        user.save(update_fields=["password"])
    return True


def give_first_passwords(passwords: Mapping[str, str]) -> list[str]:
    """Give each log-in that has no password yet the one named for it, all or none; return who got one.

    A password that somebody has chosen since stays.

    Raises:
        ServiceError: there is no such log-in, or a password is too weak.

    """
    users = {user.login: user for user in User.objects.filter(login__in=passwords)}
    if unknown := sorted(passwords.keys() - users.keys()):
        raise ServiceError(f"login {unknown[0]}: there is none: name it in a tenant file and import that first")
    without = sorted(login for login, user in users.items() if not user.has_usable_password())
    # Outside the transaction: a thousand take minutes, and nobody's log-in is to wait so long for a row.
    hashes = {login: _hash(users[login], passwords[login]) for login in without}
    with transaction.atomic():
        return [
            login
            for login in without
            if User.objects.filter(login=login, password=users[login].password).update(password=hashes[login])
        ]


def _hash(user: User, password: str) -> str:
    try:
        validate_password(password, user)
    except PasswordError as error:
        raise ServiceError(f"login {user.login}: this password cannot be taken: {' '.join(error.messages)}") from None
    return make_password(password)


def make_operator(login: str) -> bool:
    """Make sure that an operator of this log-in exists; tell whether that changed anything.

    Raises:
        ServiceError: the log-in is a tenant's, or no log-in at all.

    """
    try:
        _LOGIN.validate_python(login)
    except ValidationError:
        raise ServiceError(f"login {login!r}: {LOGIN_FORM}") from None
    try:
        with transaction.atomic():
            user = User(login=login, role=Role.OPERATOR)
            user.set_unusable_password()
            user.save()
    except IntegrityError:
        if User.objects.get(login=login).role != Role.OPERATOR:
            raise ServiceError(f"login {login}: belongs to a tenant: choose another for the operator") from None
        return False
    return True
