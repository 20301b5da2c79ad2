"""Who is measured: the proxy, the least that aiohttp can do, and two relays in C that read nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from bench.machine import BUILD, BenchError, Process, program_path
from tests.support.local_server import free_port
from vllm_sse_proxy.server.heap import KEPT_BYTES, LARGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.machine import Rig

PROXY: Final = "vllm-sse-proxy"
PASSTHROUGH: Final = "aiohttp pass-through"
NGINX: Final = "nginx"
HAPROXY: Final = "HAProxy"
DIRECT: Final = "direct"
"""No proxy at all."""

_BYTECODE: Final = {"PYTHONPYCACHEPREFIX": str(BUILD / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
"""Where it is, as in the image; it is made if it is not there."""
_HEAP: Final = {"MALLOC_TRIM_THRESHOLD_": str(KEPT_BYTES), "MALLOC_MMAP_THRESHOLD_": str(LARGE_BYTES)}
"""What the image's environment says of freed memory."""

_START_SECONDS: Final = 20.0
_MOST_STREAMS: Final = 4096

_NGINX_CONF: Final = """daemon off; worker_processes 1; pid {build}/nginx.pid; error_log {build}/nginx.err warn;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {build}/nginx-1; proxy_temp_path {build}/nginx-2; fastcgi_temp_path {build}/nginx-3;
  uwsgi_temp_path {build}/nginx-4; scgi_temp_path {build}/nginx-5;
  keepalive_requests 1000000;
  upstream vllm {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://vllm; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_request_buffering off; proxy_cache off; proxy_read_timeout 600s;
    }}
  }}
}}
"""

# Without abortonclose a client that left would keep the upstream stream open.
_HAPROXY_CONF: Final = """global
  nbthread 1
  maxconn 8000
defaults
  mode http
  option http-no-delay
  option http-keep-alive
  option abortonclose
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend front
  bind 127.0.0.1:{port}
  default_backend back
backend back
  http-reuse always
  server vllm 127.0.0.1:{upstream}
"""


@dataclass(slots=True)
class Contender:
    """One server under measurement; ``process`` is the upstream for DIRECT."""

    name: str
    port: int
    process: Process
    admin_port: int = 0


def start_all(rig: Rig, *, peers: bool = True) -> tuple[list[Contender], list[str]]:
    """Start everyone that is installed; return them, and a line for each that is not."""
    contenders, skipped = [start_proxy(rig), _start_passthrough(rig)], []
    for name, program, start in (
        (NGINX, "nginx", start_nginx),
        (HAPROXY, "haproxy", _start_haproxy),
    ):
        if not peers:
            continue
        if (path := program_path(program)) is None:
            skipped.append(
                f"{name} is not installed and was not measured (Debian: apt-get install {program})"
            )
        else:
            contenders.insert(0, start(rig, path))
    for contender in contenders:
        wait_ready(rig, contender)
    return contenders, skipped


def start_proxy(rig: Rig, *options: str, core: str | None = None) -> Contender:
    """Start the proxy as users do: all repairs, a log line per request; but with room for all streams that are opened."""
    port, admin_port = free_port(), free_port()
    command = ["vllm_sse_proxy", "serve", "--upstream", rig.url, "--port", str(port)]
    command += ["--admin-port", str(admin_port), "--max-streams", str(_MOST_STREAMS), *options]
    process = _python(*command, core=core or rig.cores.proxy, log="proxy", environment=_HEAP)
    return Contender(PROXY, port, process, admin_port)


def can_have_workers() -> bool:
    """Return whether the proxy can run several processes."""
    printed = subprocess.run(
        [sys.executable, "-m", "vllm_sse_proxy", "serve", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    return "--workers" in printed.stdout


def wait_ready(rig: Rig, contender: Contender, *, seconds: float = _START_SECONDS) -> Contender:
    """Return a contender once it answers.

    :raises BenchError: it does not.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end and contender.process.running():
        if answers(rig, contender):
            return contender
        time.sleep(0.1)
    raise BenchError(f"{contender.name} does not answer; see {BUILD}")


def answers(rig: Rig, contender: Contender) -> bool:
    """Return whether a whole stream comes through a contender: a conforming message, which everyone can take."""
    answer = rig.load(contender.port, "burst-text-200-0-0", "-c 1 -n 1 -t 5")
    return bool(answer["ok"] == 1 and answer["completed"] == 1)


def _start_passthrough(rig: Rig) -> Contender:
    port = free_port()
    process = _python("bench.passthrough", str(port), rig.url, core=rig.cores.proxy, log="passthrough")
    return Contender(PASSTHROUGH, port, process)


def _python(*module: str, core: str, log: str, environment: Mapping[str, str] | None = None) -> Process:
    """Run a module and its arguments with its bytecode at hand, and with further variables."""
    _make_bytecode()
    variables = {**_BYTECODE, **(environment or {})}
    return Process([sys.executable, "-m", *module], core=core, log=log, environment=variables)


@cache
def _make_bytecode() -> None:
    """Have the bytecode made that the image has: a process that compiles all of it when it starts keeps more memory."""
    imports = "import vllm_sse_proxy.cli.serve, vllm_sse_proxy.config, bench.passthrough"
    subprocess.run([sys.executable, "-c", imports], check=True, env={**os.environ, **_BYTECODE})


def start_nginx(rig: Rig, path: str) -> Contender:
    """Start the nginx at a path as a relay."""
    port, conf = free_port(), BUILD / "nginx.conf"
    conf.write_text(_NGINX_CONF.format(build=BUILD, upstream=rig.port, port=port))
    return Contender(NGINX, port, Process([path, "-c", str(conf)], core=rig.cores.proxy, log="nginx"))


def _start_haproxy(rig: Rig, path: str) -> Contender:
    port, conf = free_port(), BUILD / "haproxy.cfg"
    conf.write_text(_HAPROXY_CONF.format(upstream=rig.port, port=port))
    return Contender(
        HAPROXY, port, Process([path, "-db", "-f", str(conf)], core=rig.cores.proxy, log="haproxy")
    )
