"""Streams of events, whatever their protocol: the engine, what it asks of a family, and the façade. No I/O, no clock."""

from typing import Final

CORE: Final = "python" if __file__.endswith(".py") else "compiled"
"""How the core runs (docs/adr/0080-a-compiled-core.md)."""
