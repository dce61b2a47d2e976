"""The panel's forms."""

from django import forms
from django.contrib.auth.forms import AuthenticationForm


class LoginForm(AuthenticationForm):
    """Log-in and password. Log-ins are stored in lower case and people type them as they like."""

    error_messages = {  # noqa: RUF012 - Django declares it so
        "invalid_login": "This log-in and password do not match. Check both; capitals and small letters count.",
        "inactive": "This log-in is closed. Ask your administrator to open it.",
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

    def clean_username(self) -> str:
        """Return the log-in as it is stored."""
        return str(self.cleaned_data["username"]).strip().lower()
