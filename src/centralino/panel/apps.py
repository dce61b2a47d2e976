"""The Django application."""

from django.apps import AppConfig


class PanelConfig(AppConfig):
    """All models of the panel."""

    name = "centralino.panel"
    label = "panel"

    def ready(self) -> None:
        """Listen to log-ins."""
        from centralino.panel import signals  # noqa: F401, PLC0415 - it needs the models, which are there by now
