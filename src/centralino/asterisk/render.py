"""A snapshot as the files of one release."""

from collections.abc import Mapping
from dataclasses import dataclass

from centralino.asterisk import dialplan, parking, pjsip
from centralino.asterisk.objects import Objects, Rendered
from centralino.contract.snapshot import Snapshot

RENDERERS = {"pjsip.conf": pjsip.render, "extensions.conf": dialplan.render, "res_parking.conf": parking.render}
"""The files of a release. Later parts (queues, trunks, conferences) each add theirs here and its reload in ``cli``."""

NOTHING: Objects = {name: frozenset() for name in RENDERERS}
"""What an Asterisk without a release has loaded."""


@dataclass(frozen=True)
class Release:
    """Everything that one snapshot makes."""

    rendered: Mapping[str, Rendered]

    @property
    def files(self) -> dict[str, str]:
        """The texts by file name."""
        return {name: file.text for name, file in self.rendered.items()}

    @property
    def objects(self) -> Objects:
        """The objects that Asterisk has when it runs this release, by file name."""
        return {name: file.objects for name, file in self.rendered.items()}


def render(snapshot: Snapshot) -> Release:
    """Return the release of a snapshot; the same snapshot gives the same bytes.

    Raises:
        RenderError: where a value cannot be written, which no snapshot that passed the contract has.

    """
    return Release({name: renderer(snapshot) for name, renderer in RENDERERS.items()})
