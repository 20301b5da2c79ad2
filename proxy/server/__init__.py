"""The I/O shell: sockets, clocks and signals, and the only place with ``await``.

It moves bytes, holds to deadlines and maps exceptions; what a stream needs is decided in :mod:`proxy.responses`.
"""

from __future__ import annotations

from proxy.server.app import Server, serve

__all__ = ["Server", "serve"]
