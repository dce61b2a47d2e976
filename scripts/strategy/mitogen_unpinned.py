"""Ansible strategy: Mitogen's linear one without its pinning to processors.

With fewer than four cores Mitogen gives one to its multiplexer and crowds everything else onto the next; the kernel's
own scheduler does better there.
"""

# mypy: disable-error-code="import-untyped"

import ansible_mitogen.affinity
import ansible_mitogen.loaders
import ansible_mitogen.strategy

ansible_mitogen.affinity.policy = ansible_mitogen.affinity.Policy()
_Linear = ansible_mitogen.loaders.strategy_loader.get("linear", class_only=True)


class StrategyModule(ansible_mitogen.strategy.StrategyMixin, _Linear):  # type: ignore[misc, valid-type]
    """What Ansible looks for in the file."""
