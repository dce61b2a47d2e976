"""Whether this process has been told to stop, so that a waiting request does not hold it up."""

from collections.abc import Callable


class _Lifecycle:
    stopping: Callable[[], bool] = staticmethod(lambda: False)


def set_stopping(stopping: Callable[[], bool]) -> None:
    """Name the function that tells whether this process stops."""
    _Lifecycle.stopping = staticmethod(stopping)


def stopping() -> bool:
    """Tell whether this process has been told to stop."""
    return _Lifecycle.stopping()
