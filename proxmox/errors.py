"""What may go wrong, as sentences for the person who reads them."""


class ProvisionerError(Exception):
    """Something that a person must put right; every sentence names the thing, the place and the remedy."""

    def __init__(self, *sentences: str) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = sentences


class TaskFailedError(ProvisionerError):
    """A task of the cluster ended with something else than OK."""

    def __init__(self, sentence: str, exit_status: str) -> None:
        super().__init__(sentence)
        self.exit_status = exit_status


class UnansweredError(ProvisionerError):
    """A request was sent and its answer never came: whether it was carried out must be looked up, not guessed."""


class InterruptedRunError(ProvisionerError):
    """The run was asked to stop. What the cluster has begun goes on; the same command takes it up."""


class RefusedError(ProvisionerError):
    """The cluster refused a request; ``reason`` is what it said."""

    def __init__(self, sentence: str, status: int, reason: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason
