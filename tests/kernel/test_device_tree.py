"""Device nodes: what plug and play does with adapters (spec driver §6.4, §7.1, §9)."""

from __future__ import annotations

import pytest

from wintunsim.kernel.device_tree import NodeStatus, Problem
from wintunsim.kernel.system import System


@pytest.mark.parametrize(("name", "version"), [("0.8.1", "0.8.1.0"), ("0.14", "0.14.0.0"), ("2026-02", "0.14.0.0")])
def test_the_driver_package_is_the_revision_s(name: str, version: str) -> None:
    assert System(revision=name).tree.package.version_text == version


def test_two_actions_follow_each_other() -> None:
    system = System(seed=3)
    device = system.create_adapter("tun")
    node, tree = device.node, system.tree
    process = system.create_process("client")
    done: list[str] = []

    def disable() -> None:
        assert tree.disable(node)
        done.append("disabled")

    def enable() -> None:
        tree.enable(node)
        done.append("enabled")

    process.start_thread(disable)
    process.start_thread(enable)
    system.machine.run()
    assert done == ["disabled", "enabled"]
    assert system.devices == [device] and node.problem == Problem.NONE
    assert NodeStatus.STARTED in node.status
