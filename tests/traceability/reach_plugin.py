"""A pytest plugin for `reach`: what runs while a test and its fixtures do is noted under the test's id."""

from collections.abc import Iterator

import coverage
import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Each test is a context of its own; its parameters are left out."""
    current = coverage.Coverage.current()
    assert current is not None, "this plugin works under `coverage run` only"
    current.switch_context(item.nodeid.split("[")[0])
    result = yield
    current.switch_context("")
    return result
