"""The proxy's command line, with a thread beside it that reports what the process holds.

    python -m tests.labs.faults.observed SOCKET serve --upstream URL ...

Whoever connects to the Unix socket is sent one JSON object: how many asyncio tasks are not done and how many objects the
collector tracks. Nothing of the proxy is altered, so any release and any event loop can be looked at.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import sys
import threading

from vllm_sse_proxy.cli import main


def census() -> dict[str, int]:
    """Count what a leak would add to."""
    gc.collect()
    found = gc.get_objects()
    # `type`, not `isinstance`: that would ask every object for its class, and some answer with an exception.
    tasks = sum(1 for thing in found if type(thing) is asyncio.Task and not thing.done())
    return {"tasks": tasks, "objects": len(found)}


def answer(listener: socket.socket) -> None:
    """Answer everyone who asks, until the process ends."""
    while True:
        peer, _ = listener.accept()
        with peer:
            peer.sendall(json.dumps(census()).encode())


if __name__ == "__main__":
    door = socket.socket(socket.AF_UNIX)
    door.bind(sys.argv[1])
    door.listen()
    threading.Thread(target=answer, args=(door,), daemon=True).start()
    sys.exit(main(sys.argv[2:]))
