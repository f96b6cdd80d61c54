"""What the fast engine says when it leaves a run to the direct one."""


class Unable(Exception):
    """The run has come to something that cannot be run ahead: `args` say what."""
