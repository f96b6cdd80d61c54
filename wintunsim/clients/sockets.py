"""``socket`` of a simulated process: Winsock's constants and the functions that need no network. Sockets come later."""

from __future__ import annotations

import enum
import socket as host
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from wintunsim.clients.operating_system import ENVIRONMENT

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess

_REFUSAL = "wintunsim does not simulate sockets yet; {what} needs the network of the simulated machine"


class AddressFamily(enum.IntEnum):
    """Address families, by Winsock's numbers."""

    AF_UNSPEC = 0
    AF_INET = 2
    AF_IPX = 6
    AF_SNA = 11
    AF_DECnet = 12
    AF_APPLETALK = 16
    AF_INET6 = 23
    AF_IRDA = 26
    AF_LINK = 33
    AF_HYPERV = 34


class SocketKind(enum.IntEnum):
    """Socket types."""

    SOCK_STREAM = 1
    SOCK_DGRAM = 2
    SOCK_RAW = 3
    SOCK_RDM = 4
    SOCK_SEQPACKET = 5


_CONSTANTS = {
    "AI_ADDRCONFIG": 0x400, "AI_ALL": 0x100, "AI_CANONNAME": 2, "AI_NUMERICHOST": 4, "AI_NUMERICSERV": 8,
    "AI_PASSIVE": 1, "AI_V4MAPPED": 0x800, "EAI_AGAIN": 11002, "EAI_BADFLAGS": 10022, "EAI_FAIL": 11003,
    "EAI_FAMILY": 10047, "EAI_MEMORY": 8, "EAI_NODATA": 11001, "EAI_NONAME": 11001, "EAI_SERVICE": 10109,
    "EAI_SOCKTYPE": 10044, "INADDR_ANY": 0, "INADDR_BROADCAST": 0xFFFFFFFF, "INADDR_LOOPBACK": 0x7F000001,
    "INADDR_NONE": 0xFFFFFFFF, "IPPROTO_ICMP": 1, "IPPROTO_ICMPV6": 58, "IPPROTO_IGMP": 2, "IPPROTO_IP": 0,
    "IPPROTO_IPV4": 4, "IPPROTO_IPV6": 41, "IPPROTO_NONE": 59, "IPPROTO_RAW": 255, "IPPROTO_TCP": 6,
    "IPPROTO_UDP": 17, "IPV6_HOPLIMIT": 21, "IPV6_JOIN_GROUP": 12, "IPV6_LEAVE_GROUP": 13, "IPV6_MULTICAST_HOPS": 10,
    "IPV6_MULTICAST_IF": 9, "IPV6_MULTICAST_LOOP": 11, "IPV6_PKTINFO": 19, "IPV6_UNICAST_HOPS": 4, "IPV6_V6ONLY": 27,
    "IP_ADD_MEMBERSHIP": 12, "IP_DROP_MEMBERSHIP": 13, "IP_HDRINCL": 2, "IP_MULTICAST_IF": 9, "IP_MULTICAST_LOOP": 11,
    "IP_MULTICAST_TTL": 10, "IP_OPTIONS": 1, "IP_PKTINFO": 19, "IP_RECVDSTADDR": 25, "IP_TOS": 3, "IP_TTL": 4,
    "MSG_CTRUNC": 0x200, "MSG_DONTROUTE": 4, "MSG_OOB": 1, "MSG_PEEK": 2, "MSG_TRUNC": 0x100, "MSG_WAITALL": 8,
    "NI_DGRAM": 16, "NI_MAXHOST": 1025, "NI_MAXSERV": 32, "NI_NAMEREQD": 4, "NI_NOFQDN": 1, "NI_NUMERICHOST": 2,
    "NI_NUMERICSERV": 8, "RCVALL_OFF": 0, "RCVALL_ON": 1, "SHUT_RD": 0, "SHUT_RDWR": 2, "SHUT_WR": 1,
    "SIO_RCVALL": 0x98000001, "SIO_KEEPALIVE_VALS": 0x98000004, "SIO_LOOPBACK_FAST_PATH": 0x98000010,
    "SOL_IP": 0, "SOL_SOCKET": 0xFFFF, "SOL_TCP": 6, "SOL_UDP": 17, "SOMAXCONN": 0x7FFFFFFF, "SO_ACCEPTCONN": 2,
    "SO_BROADCAST": 0x20, "SO_DEBUG": 1, "SO_DONTROUTE": 0x10, "SO_ERROR": 0x1007, "SO_EXCLUSIVEADDRUSE": -5,
    "SO_KEEPALIVE": 8, "SO_LINGER": 0x80, "SO_OOBINLINE": 0x100, "SO_RCVBUF": 0x1002, "SO_RCVLOWAT": 0x1004,
    "SO_RCVTIMEO": 0x1006, "SO_REUSEADDR": 4, "SO_SNDBUF": 0x1001, "SO_SNDLOWAT": 0x1003, "SO_SNDTIMEO": 0x1005,
    "SO_TYPE": 0x1008, "SO_USELOOPBACK": 0x40, "TCP_FASTOPEN": 15, "TCP_KEEPCNT": 16, "TCP_KEEPIDLE": 3,
    "TCP_KEEPINTVL": 17, "TCP_MAXSEG": 4, "TCP_NODELAY": 1,
}  # fmt: skip

_HOST_FAMILY = {2: host.AF_INET, 23: host.AF_INET6}


def _refuse(what: str) -> NoReturn:
    raise OSError(10047, _REFUSAL.format(what=what))


class Socket:
    """Sockets cannot be made yet."""

    def __init__(self, *_arguments: Any, **_keywords: Any) -> None:
        _refuse("creating a socket")


Socket.__name__ = Socket.__qualname__ = "socket"
Socket.__module__ = "socket"


def _refusal(what: str) -> Any:
    def refuse(*_arguments: Any, **_keywords: Any) -> NoReturn:
        _refuse(what)

    return refuse


def _host_family(family: int) -> int:
    if family not in _HOST_FAMILY:
        raise OSError(10047, "An address incompatible with the requested protocol was used")
    return _HOST_FAMILY[family]


def inet_pton(family: int, text: str, /) -> bytes:
    """The packed form of an address."""
    return host.inet_pton(_host_family(family), text)


def inet_ntop(family: int, packed: bytes, /) -> str:
    """The text of a packed address."""
    return host.inet_ntop(_host_family(family), packed)


def make_socket_module(_client: ClientProcess, name: str = "socket") -> ModuleType:
    """``socket`` (and ``_socket``) as on Windows."""
    contents: dict[str, Any] = {
        **_CONSTANTS,
        **{member.name: member for member in (*AddressFamily, *SocketKind)},
        "AddressFamily": AddressFamily,
        "SocketKind": SocketKind,
        "SocketType": Socket,
        "error": OSError,
        "gaierror": host.gaierror,
        "herror": host.herror,
        "timeout": TimeoutError,
        "has_ipv6": True,
        "socket": Socket,
        "inet_pton": inet_pton,
        "inet_ntop": inet_ntop,
        "gethostname": lambda: ENVIRONMENT["COMPUTERNAME"],
        "getfqdn": lambda name="": name or ENVIRONMENT["COMPUTERNAME"],
        "getdefaulttimeout": lambda: None,
        "setdefaulttimeout": lambda _timeout: None,
        "has_dualstack_ipv6": lambda: False,
        "_GLOBAL_DEFAULT_TIMEOUT": object(),
    }
    for function in ("htons", "htonl", "ntohs", "ntohl", "inet_aton", "inet_ntoa"):
        contents[function] = getattr(host, function)
    for function in ("create_connection", "create_server", "socketpair", "fromfd", "fromshare"):
        contents[function] = _refusal(f"socket.{function}")
    for function in (
        "getaddrinfo", "gethostbyaddr", "gethostbyname", "gethostbyname_ex", "getnameinfo", "getservbyname",
        "getservbyport", "getprotobyname", "if_indextoname", "if_nameindex", "if_nametoindex",
    ):  # fmt: skip
        contents[function] = _refusal(f"socket.{function}")
    module = ModuleType(name)
    module.__dict__.update(contents)
    return module
