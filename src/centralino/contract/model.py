"""The base of all models that cross a seam: immutable, and closed against unknown keys."""

from pydantic import BaseModel, ConfigDict, ValidationError


class Model(BaseModel):
    """An immutable value; an unknown key is an error, so that a misspelt one is never silently dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def first_finding(error: ValidationError, *, whole: str = "") -> str:
    """Return ``place: what is wrong``; the place of the document itself is ``whole``.

    The value is left out: it may be a secret.
    """
    first = error.errors(include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or whole}: {first['msg']}"
