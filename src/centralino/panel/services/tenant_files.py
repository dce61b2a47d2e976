"""Reading a tenant's YAML file without trusting it."""

from collections.abc import Hashable
from typing import Any

import yaml

from centralino.contract.tenant_file import MAX_BYTES, TenantFile, TenantFileError, parse


class _Loader(yaml.SafeLoader):
    """YAML's plain data without what can hide or multiply it: no aliases, no key twice, no number but what it looks."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="an alias (*name) is not allowed here", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a plain word", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} appears twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        number = super().construct_yaml_int(node)
        if str(number) != node.value:
            # YAML 1.1 counts by eights behind a zero, and by sixties between colons.
            raise yaml.MarkedYAMLError(
                problem=f"{node.value} means {number}: write it in quotes, or without leading zeros",
                problem_mark=node.start_mark,
            )
        return number


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def read(content: bytes, *, source: str) -> TenantFile:
    """Return the tenant that a file's content describes; ``source`` is how messages name the file.

    Raises:
        TenantFileError: the file is too large, no YAML or no tenant; one sentence a finding.

    """
    if len(content) > MAX_BYTES:
        raise TenantFileError(
            f"{source}: this file is larger than {MAX_BYTES // 1024} KiB: "
            "a tenant file holds one tenant's extensions only",
        )
    try:
        data = yaml.load(content, Loader=_Loader)  # noqa: S506 - the loader is a SafeLoader made stricter
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise TenantFileError(f"{source}: {where}this cannot be read as YAML ({error.problem}): correct it") from None
    except RecursionError:
        raise TenantFileError(f"{source}: this is nested too deeply to be a tenant file: correct it") from None
    except (yaml.YAMLError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else "unknown"
        raise TenantFileError(f"{source}: this cannot be read as YAML ({reason}): correct it") from None
    return parse(data, source=source)
