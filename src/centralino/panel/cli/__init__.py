"""The ``centralino`` command: what operators and playbooks do on the web guest."""

from centralino.panel.cli.main import main

__all__ = ["main"]
