"""``make bench-peers``: other gateways on the same rig, and what each does to the streams.

    python -m bench.peers [--rounds 3] [--only LiteLLM,smg] [--no-docs]

Each gateway is installed from PyPI as bench/requirements pins it, into build/peers/; one that cannot be is named as skipped,
and why. Results go into bench/peers.json, and from there into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bench import contenders, machine, measure, peers_report, streams, summary
from bench.contenders import NGINX, PROXY, Contender
from bench.machine import BUILD, HERE, BenchError, Process
from bench.measure import Load
from tests.labs.clients.installation import InstallationError, PythonEnvironment
from tests.labs.results import compact
from tests.support.local_server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bench.machine import Rig

_FLAT_OUT: Final = "-c 32 -n 1000000 -t 1"
LOADS: Final = {
    "burst": Load("bursts of 200 deltas, conforming", "burst-text-200-0-0", _FLAT_OUT),
    "broken": Load("bursts of 200 deltas, broken", "burst-bad-200-0-0", _FLAT_OUT),
    "light": Load(
        "10 streams, 40 events/s each, a new connection for each",
        "paced-text-40-25-0",
        "-c 10 -n 10 -s 2500 -1 -t 8",
    ),
    "paced": Load(
        "100 streams, 50 events/s each, staggered", "paced-text-50-20-0", "-c 100 -n 100 -s 200 -t 8"
    ),
}
COMPARED: Final = {NGINX: ("cpu_us",), PROXY: ("cpu_us",)}
"""What everyone is compared with, and in what."""
SYNTHETIC: Final = ("burst-text-200-0-0", "burst-ok-200-0-0", "burst-bad-200-0-0")
"""The rig's own streams that are judged: a message, reasoning and a message, and the same broken."""
IDLE_STREAMS: Final = (1, 100)
_REST_SECONDS: Final = 3.0
"""How long one that goes on working after a load is waited for. They share a core."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a gateway is to be started: its programs, its port, a second one, upstream, a folder for its files."""

    programs: Path
    port: int
    metrics_port: int
    upstream: str
    files: Path


@dataclass(frozen=True, slots=True)
class Peer:
    """A gateway that others made.

    :ivar package: on PyPI, and the name of the file that pins it.
    :ivar command: makes the command that starts it.
    :ivar start_seconds: how long its start may take.
    """

    name: str
    package: str
    command: Callable[[Place], list[str]]
    start_seconds: float = 30.0
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def installation(self) -> Installation:
        """Its environment."""
        return Installation(self.package, HERE)


def _vllm_router(place: Place) -> list[str]:
    command = [str(place.programs / "vllm-router"), "--worker-urls", place.upstream]
    command += ["--host", "127.0.0.1", "--port", str(place.port), "--log-level", "error"]
    command += ["--prometheus-host", "127.0.0.1", "--prometheus-port", str(place.metrics_port)]
    return [*command, "--max-concurrent-requests", "4096"]


def _smg(place: Place) -> list[str]:
    command = [str(place.programs / "smg"), "launch", "--backend", "openai", "--worker-urls", place.upstream]
    command += ["--host", "127.0.0.1", "--port", str(place.port), "--log-level", "error"]
    command += ["--prometheus-host", "127.0.0.1", "--prometheus-port", str(place.metrics_port)]
    return [*command, "--history-backend", "none"]


def _agentic_api(place: Place) -> list[str]:
    command = [str(place.programs / "agentic"), "serve", "--upstream", place.upstream]
    command += ["--gateway-host", "127.0.0.1", "--gateway-port", str(place.port)]
    command += ["--database-url", f"sqlite://{place.files}/agentic.db?mode=rwc", "--model", streams.MODEL]
    return [*command, "--skip-llm-ready-check", "--quiet", "--no-color"]


def _litellm(place: Place) -> list[str]:
    # gpt-4o stands for the served model: LiteLLM 1.80 asks upstream without streaming, and streams the answer itself, if a
    # model is missing from its price list.
    model = {"model": "openai/gpt-4o", "api_base": f"{place.upstream}/v1", "api_key": "sk-bench"}
    config = {
        "model_list": [{"model_name": streams.MODEL, "litellm_params": model}],
        "litellm_settings": {"telemetry": False, "drop_params": True},
    }
    file = place.files / "litellm.yaml"
    file.write_text(json.dumps(config), "utf-8")  # JSON is YAML
    command = [str(place.programs / "litellm"), "--config", str(file), "--num_workers", "1"]
    return [*command, "--host", "127.0.0.1", "--port", str(place.port)]


PEERS: Final = (
    Peer("vllm-router", "vllm-router", _vllm_router),
    Peer("agentic-api", "agentic-api", _agentic_api),
    Peer("smg", "smg", _smg),
    Peer(
        "LiteLLM",
        "litellm",
        _litellm,
        start_seconds=120.0,
        environment=(
            ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),  # it would fetch its price list from the internet
            ("LITELLM_TELEMETRY", "False"),
            ("LITELLM_LOG", "ERROR"),
        ),
    ),
)


class Installation(PythonEnvironment):
    """A gateway in an environment of its own below build/."""

    @property
    def folder(self) -> Path:
        """Where it is kept until `make clean`."""
        return BUILD.parent / "peers" / self.name


def version_of(peer: Peer) -> str:
    """Return the release that is pinned.

    :raises BenchError: none is.
    """
    pins = peer.installation.pins.read_text("utf-8")
    found = re.search(rf"^{re.escape(peer.package)}(?:\[\w+\])?==(\S+)", pins, re.MULTILINE)
    if found is None:
        raise BenchError(f"no release of {peer.name} is pinned")
    return found[1]


def install(chosen: Sequence[Peer]) -> tuple[list[Peer], list[str]]:
    """Install gateways; return those that can be started, and a line for each that cannot."""
    able, skipped = [], []
    for peer in chosen:
        version = version_of(peer)
        say(f"{peer.name} {version}: {peer.installation.folder}")
        try:
            peer.installation.install()
        except InstallationError as error:
            reason = str(error).strip().splitlines()[-1]
            skipped.append(f"{peer.name} {version} does not install here and was not measured: {reason}")
        else:
            able.append(peer)
    return able, skipped


@dataclass(frozen=True, slots=True)
class Entrant:
    """Anyone who is measured, before it runs."""

    name: str
    start: Callable[[Rig], Contender]
    start_seconds: float = 20.0


def entrant(peer: Peer) -> Entrant:
    """Return a gateway that is installed, ready to be started before the rig's upstream."""

    def start(rig: Rig) -> Contender:
        files = (BUILD / peer.package).absolute()
        shutil.rmtree(files, ignore_errors=True)  # what a run before stored
        files.mkdir()
        programs = peer.installation.folder / "bin"
        place = Place(programs, free_port(), free_port(), rig.url, files)
        # It is to find its own packages, not those of the compiled proxy.
        environment = {**dict(peer.environment), "AGENTIC_API_HOME": str(files), "PYTHONPATH": ""}
        process = Process(
            peer.command(place), core=rig.cores.proxy, log=peer.package, environment=environment
        )
        return Contender(peer.name, place.port, process)

    return Entrant(peer.name, start, peer.start_seconds)


def kept(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of a measurement: the figures and sums that docs/benchmarks.md shows."""
    parts, received = found["streams"], found["streams"]["received"]
    ended = parts["sent"]["ended"]
    sent = {
        "ended": {**_shown(ended), "rules": dict(list(ended["rules"].items())[: peers_report.RULES_SHOWN])},
        "cut": _shown(parts["sent"]["cut"]),
    }
    return {
        "memory": summary.kept("memory", found["memory"]),
        "streams": {
            **parts,
            "sent": sent,
            "received": {name: _kept_of(one) for name, one in received.items()},
        },
        "loads": {**found["loads"], "runs": summary.of_loads(found["loads"]["runs"], COMPARED)},
    }


def _kept_of(received: dict[str, Any]) -> dict[str, Any]:
    """Return what became of streams through one gateway; of stored ones only where storing made a difference."""
    storing = any(
        received["plain"][end]["fates"] != received["storing"][end]["fates"] for end in streams.ENDS
    )
    made: dict[str, Any] = {
        "synthetic": {
            spec: {name: one[name] for name in ("fate", "sent", "came", "error") if one[name] is not None}
            for spec, one in received["synthetic"].items()
        }
    }
    for manner in ("plain", "storing") if storing else ("plain",):
        made[manner] = {end: _shown(received[manner][end]) for end in streams.ENDS}
    return made


def _shown(sums: dict[str, Any]) -> dict[str, Any]:
    return {
        name: sums[name]
        for name in ("count", "fates", "faultless", "words_lost", "errors")
        if sums[name] != {}
    }


def measure_all(chosen: Sequence[Peer], rounds: int) -> dict[str, Any]:
    """Install, start and measure; return what each round found, by part, as `python -m bench` does."""
    load_before, began = os.getloadavg()[0], time.monotonic()
    able, skipped = install(chosen)
    field = [Entrant(PROXY, contenders.start_proxy), *map(entrant, able)]
    if (nginx := machine.program_path("nginx")) is None:
        skipped.append("nginx is not installed and was not measured")
    else:
        field.insert(0, Entrant(NGINX, lambda rig: contenders.start_nginx(rig, nginx)))
    results: dict[str, Any] = {}
    with machine.Rig() as rig:
        results["memory"] = measure_idle(rig, field)
        results["streams"] = judge_streams(rig, field)
        with ExitStack() as stack:
            everyone = []
            for one in field:
                contender = one.start(rig)
                stack.enter_context(contender.process)
                try:
                    everyone.append(contenders.wait_ready(rig, contender, seconds=one.start_seconds))
                except BenchError:
                    skipped.append(
                        f"{one.name} does not start here, or no stream comes through, and was not measured"
                    )
            for contender in everyone:  # the first streams of a process cost more
                rig.load(contender.port, LOADS["burst"].spec, "-c 32 -n 1000000 -t 2")
                measure.rest(contender, _REST_SECONDS)
            results["loads"] = {
                "runs": measure.loads(
                    rig, everyone, LOADS, rounds, say, known=LOADS, rest_seconds=_REST_SECONDS
                )
            }
    about = machine.circumstances(rounds, load_before)
    about["versions"] |= {peer.name: version_of(peer) for peer in able}
    for part in results.values():
        part.update(about=about, skipped=skipped)
    for line in skipped:
        say(f"SKIPPED: {line}")
    say(f"done in {time.monotonic() - began:.0f} s")
    return results


def one_by_one(rig: Rig, field: Sequence[Entrant]) -> Iterator[Contender]:
    """Yield each entrant that answers, just started; it is ended before the next one is started."""
    for one in field:
        contender = one.start(rig)
        with contender.process:
            try:
                contenders.wait_ready(rig, contender, seconds=one.start_seconds)
            except BenchError as error:
                say(str(error))  # said again, and noted, when it is started for the loads
                continue
            yield contender


def measure_idle(rig: Rig, field: Sequence[Entrant]) -> dict[str, Any]:
    """Measure memory with idle streams open and the release of upstream; one entrant at a time, just started.

    ``answers_after``: whether it still answers once those clients have left.
    """
    idle: dict[str, Any] = {}
    answers_after: dict[str, bool] = {}
    for contender in one_by_one(rig, field):
        idle |= measure.memory(rig, [contender], say, numbers=IDLE_STREAMS, spec="idle-text-1-0-0")
        answers_after[contender.name] = contenders.answers(rig, contender)
        if not answers_after[contender.name]:
            say(f"{contender.name} answers no more")
    return {"idle": idle, "answers_after": answers_after}


def judge_streams(rig: Rig, field: Sequence[Entrant]) -> dict[str, Any]:
    """Send streams through each entrant, just started, and judge what comes."""
    judge, received = streams.Judge(rig.port, SYNTHETIC), {}
    for contender in one_by_one(rig, field):
        received[contender.name] = judge.received_from(contender.port)
        for end in streams.ENDS:
            fates = received[contender.name]["plain"][end]["fates"]
            say(f"{contender.name:22} {end}: " + ", ".join(f"{fate}: {n}" for fate, n in fates.items()))
    return {"sent": judge.sent, "received": received}


def say(line: str) -> None:
    """Print how it goes."""
    print(line, flush=True)


def main() -> int:
    """Run; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    names = [peer.name for peer in PEERS]
    parser.add_argument("--only", default=",".join(names), help="which of %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument("--docs", action=argparse.BooleanOptionalAction, default=True, help="write docs/ too")
    options = parser.parse_args()
    wanted = {name for name in options.only.split(",") if name}
    if wanted - set(names) or options.rounds < 1:
        parser.error(f"--only: some of {', '.join(names)}; --rounds: at least one")
    try:
        machine.prepare()
        found = measure_all([peer for peer in PEERS if peer.name in wanted], options.rounds)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    (BUILD / "peers.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    results = kept(found)
    peers_report.RESULTS.write_text(compact(results) + "\n", "utf-8")
    if options.docs:
        peers_report.write(results)
    print("\n" + peers_report.tables(results))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
