"""The Django application."""

from django.apps import AppConfig


class PanelConfig(AppConfig):
    """All models of the panel."""

    name = "centralino.panel"
    label = "panel"
