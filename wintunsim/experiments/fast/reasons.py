"""Why the fast engine leaves a run to the direct one."""

from importlib.util import find_spec


def has_compiler() -> bool:
    """Whether there is something that makes machine code of the loop."""
    return find_spec("numba") is not None


class Unable(Exception):
    """The run has come to something that cannot be run ahead: `args` say what."""
