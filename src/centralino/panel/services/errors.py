"""What a service says when it will not do something."""


class ServiceError(Exception):
    """The request cannot be met and nothing was changed; the text is a sentence for the person who asked."""
