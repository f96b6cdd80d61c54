"""Running unchanged client code in a simulated Windows process."""

from wintunsim.clients.client_process import ClientProcess

__all__ = ["ClientProcess"]
