"""What the API answers when it refuses."""

from collections.abc import Mapping


class ApiError(Exception):
    """An answer other than 200: an HTTP status, the sentence of the status line, and the faults by parameter."""

    def __init__(self, status: int, message: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = dict(errors or {})


class ParameterError(ApiError):
    """Parameters that do not fit the schema."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(400, "Parameter verification failed.", errors)


class TaskError(Exception):
    """A task ends with this instead of OK."""
