"""Errors of the model. Statuses of the simulated system are values, never exceptions (see ``status``)."""


class ModelError(Exception):
    """The model itself is wrong: a broken invariant, an operation outside the vocabulary."""


class ClientFault(Exception):
    """The client did what would crash it, or the machine, on Windows. The message says what and where."""


class DriverFault(Exception):
    """The driver did what corrupts or crashes the machine on Windows: one of its bugs (spec driver §10) has struck."""
