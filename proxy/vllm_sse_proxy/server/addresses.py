"""Who the client is, where it is behind proxies of the operator's own (``trusted_proxies``): for the log only.

``X-Forwarded-For`` grows from left to right, and each hop writes the address that it saw. So it is read from the right, for as
long as the hop that wrote is trusted: what stands further left may have been written by anybody.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address
    Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TrustedProxies:
    """The proxies whose ``X-Forwarded-For`` is believed.

    :param networks: addresses and networks, such as ``10.0.0.0/8``.
    :raises ValueError: one of them is neither.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks: tuple[Network, ...] = tuple(ipaddress.ip_network(each) for each in networks)

    def client_of(self, peer: str | None, forwarded: Sequence[str]) -> str | None:
        """Return the client's address.

        :param peer: the address of the connection; None for a socket without one.
        :param forwarded: the lines of ``X-Forwarded-For``, in order.
        :return: the last address that was written by a trusted proxy, or the peer.
        """
        if not forwarded or peer is None:
            return peer
        client = peer
        entries = [entry for line in forwarded for entry in line.split(",")]
        while entries and self._is_trusted(_address(client)):
            found = _address(entries.pop())
            if found is None:
                break  # "unknown", or an invented name: nothing further left can be relied on
            client = str(found)
        return client

    def _is_trusted(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _address(entry: str) -> Address | None:
    """Return the address in one entry, which may have a port: ``1.2.3.4:5``, ``[::1]:5``; None if it is none."""
    text = entry.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A socket for both families shows IPv4 peers so; a rule about 10.0.0.0/8 is about them too.
    return getattr(address, "ipv4_mapped", None) or address
