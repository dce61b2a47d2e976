"""The service layer: everything that people and machines may do to the configuration, each one in one place.

Functions take and give plain values, models or contract types, know nothing of HTTP or of terminals, run in one
transaction each, and raise :class:`~centralino.panel.services.errors.ServiceError` with a sentence.
"""
