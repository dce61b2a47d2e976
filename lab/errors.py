"""The one exception that the lab shows to people."""


class LabError(Exception):
    """Something a person must know or mend: one sentence that names the thing, the place and the remedy."""
