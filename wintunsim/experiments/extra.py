"""Libraries of the optional extra `experiments`: loaded when they are needed, missed in one sentence."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from wintunsim.errors import UsageError


def library(name: str, purpose: str) -> Any:
    """The module of that name. UsageError, which says what it is wanted for and the mend, when it is not installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).split(".")[0]
        raise UsageError(
            f"{purpose} needs {missing}, which is not installed: run pip install 'wintunsim[experiments]'"
        ) from None
