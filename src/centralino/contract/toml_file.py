"""A guest's TOML configuration: a role writes it, a program of ours reads it."""

import tomllib
from pathlib import Path

from pydantic import ValidationError

from centralino.contract.model import Model


class ConfigError(Exception):
    """The file cannot be used; the text names file, key and remedy."""


def read[M: Model](path: Path, model: type[M], *, role: str) -> M:
    """Read and check a file that ``role`` writes.

    Raises:
        ConfigError: with one sentence a finding.

    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except PermissionError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}): try again with sudo") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}): run role {role} on this guest") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no TOML ({error}): run role {role} on this guest") from None
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(_sentences(error, path, role))) from None


def _sentences(error: ValidationError, path: Path, role: str) -> list[str]:
    sentences = []
    for finding in error.errors():
        key = ".".join(str(part) for part in finding["loc"])
        match finding["type"]:
            case "extra_forbidden":
                text = "unknown key: remove it or correct its spelling"
            case "missing":
                text = f"missing: add it, or run role {role} on this guest"
            case "value_error":
                text = str(finding["ctx"]["error"])
            case _:
                text = f"{finding['msg']} (found {str(finding['input'])[:60]!r})"
        sentences.append(f"{path}: {key}: {text}")
    return sentences
