"""Errors of the simulator that its user can mend."""


class UsageError(Exception):
    """The user of wintunsim asked for something that cannot be done.

    The message is one sentence that names the thing and the mend; the command line prints it and exits with 2.
    """
