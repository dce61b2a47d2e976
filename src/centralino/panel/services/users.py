"""People and their passwords."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from centralino.panel.models import Role, User
from centralino.panel.services.errors import ServiceError


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
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise ServiceError(f"login {login}: this password cannot be taken: {' '.join(error.messages)}") from None
        user.set_password(password)
        user.save(update_fields=["password"])
    return True


def make_operator(login: str) -> bool:
    """Make sure that an operator of this log-in exists; tell whether that changed anything.

    Raises:
        ServiceError: the log-in is a tenant's, or no log-in at all.

    """
    try:
        with transaction.atomic():
            user = User(login=login, role=Role.OPERATOR)
            user.set_unusable_password()
            user.save()
    except IntegrityError as error:
        if "user_login_form" in str(error):
            raise ServiceError(
                f"login {login!r}: write 3 to 80 small letters, digits and . _ @ + -, a letter or digit first"
            ) from None
        if User.objects.get(login=login).role != Role.OPERATOR:
            raise ServiceError(f"login {login}: belongs to a tenant: choose another for the operator") from None
        return False
    return True
