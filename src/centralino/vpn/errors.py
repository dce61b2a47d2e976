"""What can go wrong, as sentences."""


class VpnError(Exception):
    """Something cannot be done; the text names the thing, its place and the remedy."""
