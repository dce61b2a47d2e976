"""The panel: what tenants see in the browser, where operators configure, and what agents fetch.

Layers, top to bottom: pages, agent API and the ``centralino`` command; the service layer (``services/``), which alone
writes the database; the models. A layer calls only the one below it.
"""
