"""The panel's forms."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm

from centralino.panel.addresses import client_address
from centralino.panel.models import User
from centralino.panel.services import bans


class LoginForm(AuthenticationForm):
    """Log-in and password. Log-ins are stored in lower case and people type them as they like."""

    error_messages = {  # noqa: RUF012 - Django declares it so
        "invalid_login": "This log-in and password do not match. Check both; capitals and small letters count.",
        "inactive": "This log-in is closed. Ask your administrator to open it.",
        "elsewhere": "Your company does not log in from this address. Ask your administrator.",
    }
    username = forms.CharField(
        label="Log-in",
        max_length=80,
        widget=forms.TextInput(
            attrs={
                "class": "form-control",
                "autocomplete": "username",
                "autocapitalize": "none",
                "spellcheck": "false",
                "autofocus": True,
            },
        ),
    )
    password = forms.CharField(
        label="Password",
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"class": "form-control", "autocomplete": "current-password"}),
    )

    def confirm_login_allowed(self, user: Any) -> None:  # noqa: ANN401 - Django's types know its own user alone
        """Let in who comes from where the tenant's people come from; anybody else has stolen a password."""
        super().confirm_login_allowed(user)
        address = client_address(self.request) if self.request else None
        if isinstance(user, User) and not bans.may_come_from(user.tenant, address):
            bans.attack(address, reason=f"the password of {user.login}, from outside its tenant's networks")
            raise forms.ValidationError(self.error_messages["elsewhere"], code="elsewhere")

    def clean_username(self) -> str:
        """Return the log-in as it is stored."""
        return str(self.cleaned_data["username"]).strip().lower()
