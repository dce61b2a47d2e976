"""The base of all models that cross a seam: immutable, and closed against unknown keys."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """An immutable value; an unknown key is an error, so that a misspelt one is never silently dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)
