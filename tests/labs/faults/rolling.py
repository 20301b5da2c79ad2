"""Two proxies behind nginx are restarted one after the other, under load: no stream may be lost.

nginx needs `max_fails=0`: by default it leaves a proxy that refused one connection alone for ten seconds, and has none
left when the other one is restarted within that time. A refused connection is tried at the next proxy in any case.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.labs.faults.judge import judge_stream, terminals_of
from tests.labs.faults.paced import PacedUpstream
from tests.labs.faults.process import ProxyProcess
from tests.labs.faults.report import Row
from tests.labs.faults.upstream_faults import next_id, post
from tests.support.http import RawClient
from tests.support.local_server import free_port

if TYPE_CHECKING:
    from collections.abc import Sequence

STREAMS = 60
"""Streams at once."""

DRAIN_DELAY_SECONDS = 1.0
DRAIN_TIMEOUT_SECONDS = 30.0
SETTLE_SECONDS = 2.0
"""Load before, between and after the restarts."""

NGINX = """\
daemon off;
error_log stderr warn;
pid {folder}/nginx.pid;
worker_processes 1;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream proxies {{
        {servers}
        {keepalive}
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://proxies;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_read_timeout 120s;
        }}
    }}
}}
"""


class Nginx:
    """nginx in front of some ports; a context manager.

    :param keepalive: connections to the proxies that it keeps for later requests; 0: none, as without any setting.
    """

    def __init__(self, ports: Sequence[int], *, keepalive: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sse-proxy-nginx-")
        self.port = free_port()
        text = NGINX.format(
            folder=self._folder.name,
            port=self.port,
            servers=" ".join(f"server 127.0.0.1:{port} max_fails=0;" for port in ports),
            keepalive=f"keepalive {keepalive};" if keepalive else "",
        )
        self._path = Path(self._folder.name) / "nginx.conf"
        self._path.write_text(text)
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            "nginx", "-c", str(self._path), "-p", self._folder.name, stderr=asyncio.subprocess.DEVNULL
        )
        await listening(self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        await self._process.wait()
        self._folder.cleanup()


async def listening(port: int) -> None:
    """Wait until somebody listens on a port."""
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(OSError):
                (await RawClient.connect(port)).leave()
                return
            await asyncio.sleep(0.02)


class Load:
    """Clients that stream one answer after another, and judge each."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.over = asyncio.Event()
        self.whole = 0
        self.lost: list[str] = []

    async def client(self) -> None:
        """Stream until it is over; each answer over a connection of its own."""
        while not self.over.is_set():
            try:
                client = await RawClient.connect(self._port, limit=2**20)
                try:
                    await client.send(post(next_id()))
                    answer = await client.answer()
                finally:
                    client.leave()
            except (OSError, asyncio.IncompleteReadError) as error:
                self.lost.append(repr(error))
                continue
            wrong = [f"HTTP {answer.status}"] if answer.status != 200 else judge_stream(answer, deep=False)
            if not wrong and terminals_of(answer.body) != ["response.completed"]:
                wrong = [f"ended as {terminals_of(answer.body)}"]
            self.lost += wrong[:1]
            self.whole += not wrong


async def restarts() -> list[Row]:
    """Restart both proxies under load, with and without connections that nginx keeps."""
    if shutil.which("nginx") is None:
        print("SKIPPED: rolling restart: no nginx (Debian: nginx-light)")
        return []
    return [await _restart(keepalive) for keepalive in (0, 32)]


async def _restart(keepalive: int) -> Row:
    ports = [(free_port(), free_port()) for _ in range(2)]
    wrong = []
    async with (
        PacedUpstream(deltas=(5, 15), gap_seconds=0.2) as upstream,
        contextlib.AsyncExitStack() as stack,
    ):
        proxies = [
            await stack.enter_async_context(
                ProxyProcess(
                    f"http://127.0.0.1:{upstream.port}",
                    port=port,
                    admin_port=admin_port,
                    drain_delay_seconds=DRAIN_DELAY_SECONDS,
                    drain_timeout_seconds=DRAIN_TIMEOUT_SECONDS,
                )
            )
            for port, admin_port in ports
        ]
        nginx = await stack.enter_async_context(Nginx([port for port, _ in ports], keepalive=keepalive))
        load = Load(nginx.port)
        clients = [asyncio.create_task(load.client()) for _ in range(STREAMS)]
        for proxy in proxies:
            await asyncio.sleep(SETTLE_SECONDS)
            proxy.terminate()
            code = await proxy.wait()
            if code != 0:
                wrong.append(f"exit code {code}")
            await proxy.start()
        await asyncio.sleep(SETTLE_SECONDS)
        load.over.set()
        await asyncio.gather(*clients)
    if load.lost:
        wrong.append(f"{len(load.lost)} lost: {load.lost[:3]}")
    if not load.whole:
        wrong.append("no stream at all")
    kept = f"nginx keeps {keepalive} connections" if keepalive else "nginx keeps no connections"
    return Row(
        "restart",
        f"two proxies restarted in turn, {STREAMS} streams at once",
        kept,
        f"{load.whole} streams whole, {len(load.lost)} lost",
        wrong,
    )
