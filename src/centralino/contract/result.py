"""What the agent tells the panel about an apply."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from centralino.contract.fields import GuestName
from centralino.contract.model import Model


class ApplyResult(Model):
    """The outcome of one snapshot on one PBX.

    ``live``: the PBX runs it. ``refused``: the candidate did not load it, the running release was never touched.
    ``reverted``: it was swapped in, the live objects differed, and the former release is back.
    """

    pbx: GuestName
    etag: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    outcome: Literal["live", "refused", "reverted"]
    message: Annotated[str, Field(max_length=4000)] = ""
    finished: AwareDatetime
    seconds: Annotated[float, Field(ge=0)]
