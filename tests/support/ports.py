"""Ports of this machine."""

import random
import socket

# Below the ports that Linux gives to outgoing connections: one of those can be in use a moment later. Random, because
# other test processes look for ports at the same time.
_CANDIDATES = range(20_000, 32_768)


def free_port() -> int:
    """Return a port on which nothing listens."""
    while True:
        port = random.SystemRandom().choice(_CANDIDATES)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
