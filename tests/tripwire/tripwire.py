"""Records and refuses every attempt to leave this machine: a host name looked up, or a connection that is not to loopback.

It sees what goes through Python's sockets, by an audit hook. In a test: the `network_attempts` fixture. In a subprocess:
the `run_watched` fixture, which puts this folder on PYTHONPATH, where `sitecustomize` arms it.
"""

import ipaddress
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

LOG_VARIABLE = "OPEN_VR1_NETWORK_LOG"
CONNECTIONS = ("socket.connect", "socket.sendto", "socket.sendmsg")
LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
OWN_NAMES = ("localhost", socket.gethostname())

attempts: list[str] = []


class NetworkAttempt(OSError):
    """An `OSError`, as an unreachable network gives, so that the code under test goes on as it would offline."""


def host_of(event: str, args: tuple[Any, ...]) -> str | None:
    """The host that an audit event is about; `None` for other events and for sockets that never leave the machine."""
    if event in LOOKUPS:
        host = args[0]
    elif event in CONNECTIONS and isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return None
    return host.decode() if isinstance(host, bytes) else host


def is_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host in OWN_NAMES
    return address.is_loopback or address.is_unspecified


def refuse(event: str, args: tuple[Any, ...]) -> None:
    host = host_of(event, args)
    if not host or is_local(host):
        return
    attempt = f"tried to reach {host!r}\n{''.join(traceback.format_stack(limit=12)[:-1])}"
    attempts.append(attempt)
    if log := os.environ.get(LOG_VARIABLE):
        with Path(log).open("a") as file:
            file.write(attempt + "\n")
    raise NetworkAttempt(f"the network is off limits here: {host!r}")


def arm() -> None:
    """Audit hooks cannot be taken away: armed once, it holds until the process ends."""
    sys.addaudithook(refuse)
