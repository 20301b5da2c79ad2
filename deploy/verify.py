"""Build the image, run it and everything around it for real, and say what each step saw.

    make verify-deploy

Needs root on Linux, and podman and buildah, which `deploy/tools.sh --images` installs on Debian. No Docker engine is needed:
the real docker and Compose clients speak to podman, where they are installed. Everything runs in a network namespace of its
own, so that no port and no firewall rule of the machine is touched.

What stands in for what cannot be had without a public registry:

- `python:3.13-slim`: a minimal Debian 13 with its Python 3.13, made by mmdebstrap; only if the image is not there yet.
- `prom/prometheus`: the same with Debian's Prometheus.
- Grafana: nothing. Its dashboard is held against Grafana's own schema, and each expression is asked of Prometheus.

Every step is counted; one that cannot run here is skipped by name. The last line says how many passed, failed and were
skipped; the exit code is 1 if any failed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
import traceback
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.support.deploying import DEPLOY, ROOT, dashboard_queries, rules
from vllm_sse_proxy import __version__
from vllm_sse_proxy.demo.scenarios import SCENARIOS
from vllm_sse_proxy.families.responses.conformance import check_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOOLS: Final = ROOT / ".deploy-tools"
WORK: Final = TOOLS / "images"
NAMESPACE: Final = f"verify-deploy-{os.getpid()}"

BASE: Final = re.findall(r"^ARG BASE=(\S+)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)[0]
REGISTRY: Final = BASE.partition("/")[0]
"""What Docker's clients put before a name that has no registry."""

IMAGE: Final = f"{REGISTRY}/library/vllm-sse-proxy:{__version__}"
PROMETHEUS: Final = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]["prometheus"][
    "image"
]

# Where the image's build may look for certificates beside its own: a machine's own authority is not in the base image.
CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")

BUILD_SECONDS: Final = 1800.0
"""How long an image's build may take: the core's C is compiled in it, which takes minutes on a machine that has more to do."""

TRAFFIC_SECONDS: Final = 45.0
"""How long recordings pass through before Prometheus is asked: two rounds of all of them, and 40 scrapes."""

STORAGE: Final = """\
[storage]
driver = "overlay"
runroot = "{work}/run"
graphroot = "{work}/graph"
"""
# Without systemd and with control groups of both versions at once only runc with cgroupfs works; hard and soft limits must be
# equal, as podman 4's Docker API swaps them.
ENGINE: Final = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""
BASE_RECIPE: Final = """\
FROM scratch
ADD base.tar /
RUN ln -sf /usr/bin/python3 /usr/local/bin/python3 && rm -f /usr/lib/python3*/EXTERNALLY-MANAGED
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
CMD ["python3"]
"""
PROMETHEUS_RECIPE: Final = f"""\
FROM {BASE}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus && rm -rf /var/lib/apt/lists/*
ENTRYPOINT ["prometheus"]
"""


class Failed(Exception):  # noqa: N818 - it is what a step says of itself
    """A step saw something else than it should."""


class Skipped(Exception):  # noqa: N818 - as above
    """A step cannot run on this machine."""


def expect(holds: object, otherwise: str) -> None:
    """Fail the step unless `holds`."""
    if not holds:
        raise Failed(otherwise)


class Steps:
    """Runs steps, says what each saw and counts."""

    def __init__(self) -> None:
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}

    def run(self, name: str, step: Callable[[], str]) -> bool:
        """Run one step; its return value is what it saw."""
        began = time.monotonic()
        try:
            result, said = "passed", step()
        except Skipped as reason:
            result, said = "skipped", str(reason)
        except Failed as reason:
            result, said = "failed", str(reason)
        except subprocess.CalledProcessError as error:
            output = f"{error.stdout or ''}{error.stderr or ''}".strip()[-2000:]
            result, said = (
                "failed",
                f"{' '.join(map(str, error.cmd))}: exit code {error.returncode}\n{output}",
            )
        except Exception:  # noqa: BLE001 - a step that breaks has failed; the others still run
            result, said = "failed", traceback.format_exc()
        self.counts[result] += 1
        first, *more = said.splitlines() or [""]
        print(f"{result.upper():7} {name} ({time.monotonic() - began:.1f} s): {first}", flush=True)
        for line in more:
            print(f"          {line}", flush=True)
        return result == "passed"

    def summary(self) -> str:
        """Return the closing line."""
        return ", ".join(f"{count} {result}" for result, count in self.counts.items())


def environment() -> dict[str, str]:
    """Return the environment for podman and buildah: a storage of our own, and no timers of systemd."""
    return {
        **os.environ,
        "PATH": f"{TOOLS / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "CONTAINERS_STORAGE_CONF": str(WORK / "storage.conf"),
        "CONTAINERS_CONF": str(WORK / "containers.conf"),
        "DISABLE_HC_SYSTEMD": "true",
        "DOCKER_HOST": f"unix://{WORK}/podman.sock",
    }


def run(*command: str | Path, timeout: float = 600, **options: Any) -> str:
    """Run a command and return what it wrote to standard output."""
    done = subprocess.run(
        [str(word) for word in command],
        check=True,
        text=True,
        capture_output=True,
        timeout=timeout,
        env=environment(),
        **options,
    )
    output: str = done.stdout.strip()
    return output


def tool(name: str) -> str:
    """Return a tool's path, or skip the step."""
    path = shutil.which(name, path=environment()["PATH"])
    if path is None:
        raise Skipped(f"{name} is not installed")
    return path


# ------------------------------------------------------------------------------------------------------ images


def prepare() -> str:
    """Write the engine's configuration."""
    for name in ("podman", "buildah", "runc", "nsenter", "ip"):
        tool(name)
    if os.geteuid() != 0:
        raise Skipped("needs root")
    WORK.mkdir(parents=True, exist_ok=True)
    (WORK / "storage.conf").write_text(STORAGE.format(work=WORK))
    (WORK / "containers.conf").write_text(ENGINE)
    return run("podman", "--version")


def is_stored(image: str) -> bool:
    """Say whether an image is in our storage."""
    found = subprocess.run(
        ["buildah", "inspect", "--type", "image", image], capture_output=True, check=False, env=environment()
    )
    return found.returncode == 0


def build(tag: str, recipe: str | Path, context: Path, *options: str) -> None:
    """Build an image; `--format docker`, because OCI images know no HEALTHCHECK."""
    if CERTIFICATES.exists():
        options = (*options, "--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro")
    run(
        "buildah", "build", "--isolation", "chroot", "--network", "host", "--format", "docker",
        *options, "--tag", tag, "--file", recipe, context, timeout=BUILD_SECONDS,
    )  # fmt: skip


def base_image() -> str:
    """Make the stand-in for the official Python image, unless there is one."""
    if is_stored(BASE):
        return f"{BASE} is there"
    targets = run(
        tool("apt-get"), "indextargets", "--format", "$(LABEL) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"
    )  # fmt: skip
    mirrors = [line.split()[2] for line in targets.splitlines() if line.startswith("Debian main ")]
    if not mirrors:
        raise Skipped("no Debian mirror is configured to make the stand-in from")
    folder = WORK / "base"
    folder.mkdir(exist_ok=True)
    run(
        tool("mmdebstrap"), "--mode=root", "--format=tar", "--variant=minbase",
        "--include=ca-certificates,python3,python3-venv,python3-pip,libpython3-dev",  # the official image has the headers too
        "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
        "trixie", folder / "base.tar", mirrors[0],
    )  # fmt: skip
    (folder / "Containerfile").write_text(BASE_RECIPE)
    build(BASE, folder / "Containerfile", folder)
    (folder / "base.tar").unlink()
    return f"a stand-in of {size_of(BASE)} MB, made from Debian 13; not the official image"


def size_of(image: str) -> int:
    """Return an image's size in MB."""
    inspected = json.loads(run("podman", "image", "inspect", image))[0]
    return round(int(inspected["Size"]) / 1e6)


def product_image() -> str:
    """Build the project's Dockerfile as it is."""
    build(IMAGE, ROOT / "Dockerfile", ROOT, "--layers")
    return f"{size_of(IMAGE)} MB, of which the base has {size_of(BASE)} MB"


def image_contents() -> str:
    """Look at what was built: who runs what, and what is not in it."""
    config = json.loads(run("podman", "image", "inspect", IMAGE))[0]
    expect(config["User"] == "10001:10001", f"runs as {config['User']}")
    inner = config["Config"]
    expect(inner["Entrypoint"] == ["vllm-sse-proxy"], f"entry {inner['Entrypoint']}")
    expect(inner["StopSignal"] in {"SIGTERM", "15"}, f"stop signal {inner['StopSignal']}")
    expect(config["Healthcheck"]["Test"][0] == "CMD", "no health check in exec form")
    expect(set(inner["ExposedPorts"]) == {"9000/tcp", "9001/tcp"}, f"ports {inner['ExposedPorts']}")
    labels = {name.rpartition(".")[2] for name in inner["Labels"] if "opencontainers" in name}
    wanted = {"title", "description", "version", "licenses", "source", "documentation", "revision"}
    expect(wanted <= labels, f"labels {labels}")
    expect(not [each for each in inner["Env"] if each.startswith("PIP_")], f"environment {inner['Env']}")
    listing = run(
        "podman", "run", "--rm", "--network", "none", "--entrypoint", "python3", IMAGE, "-c",
        "import glob; print(*glob.glob('/opt/vllm-sse-proxy/lib/*/site-packages/pip*'), *glob.glob('/build/*'), "
        "*glob.glob('/wheels/*'))",
    )  # fmt: skip
    expect(not listing, f"left over: {listing}")
    compiled = run(
        "podman", "run", "--rm", "--network", "none", "--entrypoint", "python3", IMAGE, "-c",
        "import os, sys, vllm_sse_proxy.cli.serve, vllm_sse_proxy.cli.healthcheck, vllm_sse_proxy.config; "
        "cached = [getattr(each, '__cached__', None) for each in sys.modules.values()]; "
        "print(*[path for path in cached if path and not os.path.exists(path)])",
    )  # fmt: skip
    expect(not compiled, f"compiled at each start: {compiled}")
    return (
        "uid 10001, exec entry, stop signal, health check, labels; no pip and no sources in the environment; "
        "bytecode of all that a server imports"
    )


def prometheus_image() -> str:
    """Make the stand-in for Prometheus, unless there is one."""
    tag = f"{REGISTRY}/{PROMETHEUS}"
    if is_stored(tag):
        return f"{tag} is there"
    folder = WORK / "prometheus"
    folder.mkdir(exist_ok=True)
    (folder / "Containerfile").write_text(PROMETHEUS_RECIPE)
    build(tag, folder / "Containerfile", folder)
    return f"a stand-in of {size_of(tag)} MB"


def grafana_schema() -> str:
    """Hold the dashboard against the schema made of Grafana's own types."""
    tool("npm")
    folder = TOOLS / "grafana"
    folder.mkdir(exist_ok=True)
    schema = folder / "dashboard.schema.json"
    if not schema.exists():
        (folder / "package.json").write_text("{}")
        run(
            "npm",
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "@grafana/schema",
            "ts-json-schema-generator",
            "ajv",
            cwd=folder,
        )
        types = "node_modules/@grafana/schema/dist/types/raw/dashboard/x/types.gen.d.ts"
        made = run(
            "npx", "ts-json-schema-generator", "--path", types, "--type", "Dashboard", "--no-type-check",
            "--additional-properties", cwd=folder,
        )  # fmt: skip
        schema.write_text(made)
    program = (
        "const Ajv = require('ajv').default, fs = require('fs');"
        "const check = new Ajv({strict: false}).compile(JSON.parse(fs.readFileSync('dashboard.schema.json')));"
        "const read = JSON.parse(fs.readFileSync(process.argv[1]));"
        "const good = check(read); if (!good) console.log(JSON.stringify(check.errors.slice(0, 5), null, 1));"
        "read.graphTooltip = 'wrong'; if (check(read)) console.log('the schema accepts anything');"
    )
    dashboard = DEPLOY / "grafana" / "dashboards" / "vllm-sse-proxy.json"
    faults = run("node", "-e", program, dashboard, cwd=folder)
    expect(not faults, faults)
    version = json.loads((folder / "node_modules/@grafana/schema/package.json").read_text())["version"]
    return f"valid for @grafana/schema {version}, which refuses a wrong one"


# ----------------------------------------------------------------------------------------- inside the namespace


def get(url: str, *, timeout: float = 5) -> bytes:
    """Return a body; raises OSError for anything but success."""
    with urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310 - our own addresses
        body: bytes = answer.read()
    return body


def wait_for(url: str, *, seconds: float) -> float:
    """Ask until there is an answer; return how long it took."""
    began = time.monotonic()
    while True:
        try:
            get(url, timeout=1)
        except OSError:
            if time.monotonic() - began > seconds:
                raise Failed(f"{url} did not answer within {seconds} s") from None
            time.sleep(0.02)
        else:
            return time.monotonic() - began


def ask(port: int, model: str) -> Iterator[bytes]:
    """Ask for a recording on loopback and yield the body piece by piece."""
    scenario = next(each for each in SCENARIOS if each.model == model)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = json.dumps(dict(scenario.request))
    connection.request("POST", "/v1/responses", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    expect(answer.status == http.client.OK, f"port {port}: HTTP status {answer.status}")
    while piece := answer.read1():
        yield piece
    connection.close()


STREAM_MODEL: Final = "demo/dict-delta"


def stream_conforms(port: int) -> str:
    """A recording comes repaired through whatever is on this port."""
    pieces = list(ask(port, STREAM_MODEL))
    body = b"".join(pieces)
    violations = check_stream(body)
    expect(not violations, f"{len(violations)} violations; the first: {violations[:1]}")
    expect(body.endswith(b"data: [DONE]\n\n"), "no [DONE]")
    expect(len(pieces) > 5, f"came in {len(pieces)} pieces: something buffers")  # noqa: PLR2004
    return f"{body.count(b'event: ')} events in {len(pieces)} pieces, conforming"


def docker() -> str:
    """Return the docker client, or podman where there is none: the same words mean the same to it."""
    return shutil.which("docker") or "podman"


@contextlib.contextmanager
def background(*command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process for as long as the context lasts."""
    with (WORK / "background.log").open("ab") as log:
        process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, env=environment())
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


class Container:
    """The image run as README says, before an upstream that runs beside it."""

    def start(self) -> str:
        """`docker run`, with settings from the environment alone, on a read-only root and without capabilities."""
        gateway = json.loads(run("podman", "network", "inspect", "podman"))[0]["subnets"][0]["gateway"]
        expect(
            check_stream(b"".join(ask(8000, STREAM_MODEL))), "the upstream is not broken: it proves nothing"
        )
        began = time.monotonic()
        run(
            docker(), "run", "-d", "--name", "proxy", "--read-only", "--cap-drop", "ALL",
            "--security-opt", "no-new-privileges", "-p", "9000:9000", "-p", "127.0.0.1:9001:9001",
            "-e", f"SSE_PROXY_UPSTREAM=http://{gateway}:8000", IMAGE,
        )  # fmt: skip
        accepted = time.monotonic() - began
        wait_for("http://127.0.0.1:9001/readyz", seconds=30)
        ready = time.monotonic() - began
        line = json.loads(run("podman", "logs", "proxy").splitlines()[0])
        said = f"{line['msg']} on {line['address']}"
        return (
            f"ready {ready:.2f} s after `{Path(docker()).name} run` ({accepted:.2f} s the engine's); {said}"
        )

    def healthy(self) -> str:
        """The image's health check, which an engine with systemd runs by itself."""
        began = time.monotonic()
        run("podman", "healthcheck", "run", "proxy")
        took = time.monotonic() - began
        status = run("podman", "inspect", "proxy", "--format", "{{.State.Health.Status}}")
        expect(status == "healthy", f"status {status}")
        return f"healthy, in {took:.2f} s"

    def metrics(self) -> str:
        """`promtool check metrics` on what the container reports."""
        body = get("http://127.0.0.1:9001/metrics").decode()
        done = run(tool("promtool"), "check", "metrics", input=body)
        expect(not done, done)
        return f"{len(body.splitlines())} lines, clean"

    def locked(self) -> str:
        """The process is nobody special and can write nowhere."""
        seen = run(
            "podman", "exec", "proxy", "python3", "-c",
            "import os; print(os.getuid(), [p for p in ('/', '/opt', '/etc', '/usr') if not os.statvfs(p).f_flag & 1], "
            "open('/proc/1/status').read().split('CapEff:')[1].split()[0])",
        )  # fmt: skip
        expect(seen == "10001 [] 0000000000000000", seen)
        return "uid 10001, read-only root, no capabilities"

    def stop(self) -> str:
        """`docker stop` in the middle of a stream: it goes on to its end, and the proxy exits with 0."""
        pieces = ask(9000, STREAM_MODEL)
        body = next(pieces)
        with background(docker(), "stop", "-t", "40", "proxy"):
            began = time.monotonic()
            while time.monotonic() - began < 2:  # noqa: PLR2004 - the proxy has its signal
                with contextlib.suppress(OSError):
                    get("http://127.0.0.1:9001/readyz", timeout=1)
                    time.sleep(0.05)
                    continue
                break
            else:
                raise Failed("/readyz stays ready while the proxy drains")
            body += b"".join(pieces)
            expect(not check_stream(body), "the stream was damaged")
            expect(body.endswith(b"data: [DONE]\n\n"), "the stream was cut")
            run("podman", "wait", "proxy", timeout=60)
        code = run("podman", "inspect", "proxy", "--format", "{{.State.ExitCode}}")
        expect(code == "0", f"exit code {code}")
        run("podman", "rm", "proxy")
        return (
            f"not ready at once, the stream ended whole after {time.monotonic() - began:.1f} s, exit code 0"
        )


def through_nginx() -> str:
    """A stream through nginx with the settings in front/nginx.conf."""
    folder = WORK / "nginx"
    folder.mkdir(exist_ok=True)
    binary = tool("nginx")
    options = f"daemon off; pid {folder}/pid; error_log {folder}/error.log;"
    with background(binary, "-p", folder, "-c", DEPLOY / "front" / "nginx.conf", "-g", options):
        wait_for("http://127.0.0.1:8080/health", seconds=10)
        return stream_conforms(8080)


def through_haproxy() -> str:
    """A stream through HAProxy with the settings in front/haproxy.cfg."""
    with background(tool("haproxy"), "-f", DEPLOY / "front" / "haproxy.cfg"):
        wait_for("http://127.0.0.1:8080/health", seconds=15)
        return stream_conforms(8080)


class Stack:
    """deploy/compose.yaml without Grafana, its image built before and Prometheus in a hurry."""

    def __init__(self) -> None:
        self.folder = WORK / "stack"
        self.command: list[str | Path] = []

    def start(self) -> str:
        """`docker compose up`: every container healthy."""
        self.folder.mkdir(exist_ok=True)
        hurried = self.folder / "prometheus.yaml"
        original = (DEPLOY / "prometheus" / "prometheus.yaml").read_text("utf-8")
        hurried.write_text(original.replace("_interval: 15s", "_interval: 1s"))
        override = self.folder / "override.yaml"
        mounts = [f"{hurried}:/etc/prometheus/prometheus.yaml:ro"]
        override.write_text(yaml.safe_dump({"services": {"prometheus": {"volumes": mounts}}}))
        self.command = [
            tool("docker-compose"), "-f", DEPLOY / "compose.yaml", "-f", override, "--project-name", "verify",
        ]  # fmt: skip
        began = time.monotonic()
        up = subprocess.Popen(
            [*map(str, self.command), "up", "-d", "--no-build", "--pull", "never", "--wait", "--wait-timeout", "90",
             "proxy", "upstream", "traffic", "prometheus"],
            env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        # Without systemd nobody runs the health checks: this does, for as long as Compose waits for them.
        while up.poll() is None:
            for container in run("podman", "ps", "-q").split():
                subprocess.run(
                    ["podman", "healthcheck", "run", container],
                    capture_output=True,
                    check=False,
                    env=environment(),
                )
            time.sleep(0.5)
        output = up.communicate()[0]
        expect(up.returncode == 0, output[-2000:])
        return f"proxy, upstream, traffic and Prometheus are up after {time.monotonic() - began:.1f} s"

    def scraped(self) -> str:
        """Prometheus reaches the proxy by its service's name, and likes its rules."""
        deadline = time.monotonic() + 20
        while not (up := query('up{job="vllm-sse-proxy"} == 1')):
            expect(time.monotonic() < deadline, "the proxy is not scraped")
            time.sleep(0.5)
        time.sleep(TRAFFIC_SECONDS)
        groups = json.loads(get("http://127.0.0.1:9090/api/v1/rules"))["data"]["groups"]
        loaded = [rule for group in groups for rule in group["rules"]]
        bad = [rule["name"] for rule in loaded if rule["health"] != "ok"]
        expect(not bad, f"rules that fail: {bad}")
        expect(len(loaded) == len(rules()), f"{len(loaded)} rules of {len(rules())}")
        empty = [rule["record"] for rule in rules() if "record" in rule and not query(rule["record"])]
        expect(not empty, f"recording rules without data: {empty}")
        cost = query('scrape_duration_seconds{job="vllm-sse-proxy"}')[0]["value"][1]
        return f"{up[0]['metric']['instance']} is up, {len(loaded)} rules work, a scrape takes {float(cost) * 1000:.1f} ms"

    def dashboard(self) -> str:
        """Every expression of the dashboard has data; one that leaves zeros out may show nothing if the zeros are there."""
        lines, empty = [], []
        for each in dashboard_queries(over="30s"):
            found = query(each.expression)
            if not found and not query(re.sub(r" > 0(?=\)?$)", "", each.expression)):
                empty.append(f"{each.panel}: {each.expression}")
            lines.append(f"{each.row:23.23} | {each.panel:38.38} | {each.legend:16.16} | {shown(found)}")
        expect(not empty, "without data:\n" + "\n".join(empty) + "\n" + "\n".join(lines))
        return "\n".join([f"{len(lines)} expressions, all with data", *lines])

    def stop(self) -> str:
        """`docker compose down`: in time, every container with exit code 0."""
        if not self.command:
            raise Skipped("it is not up")
        run(*self.command, "stop", "-t", "40", "traffic", "proxy", "upstream")
        codes = run("podman", "ps", "-a", "--format", "{{.Names}} {{.ExitCode}}").splitlines()
        run(*self.command, "down", "-v", "-t", "5")
        ours = sorted(code for code in codes if "prometheus" not in code)
        expect(all(code.endswith(" 0") for code in ours), f"{ours}")
        return "; ".join(ours)


def query(expression: str) -> list[dict[str, Any]]:
    """Ask Prometheus for this moment."""
    asked = urllib.parse.urlencode({"query": expression})
    answer = json.loads(get(f"http://127.0.0.1:9090/api/v1/query?{asked}"))
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def shown(found: list[dict[str, Any]]) -> str:
    """Show up to three results of a query, the largest first."""
    values = sorted(((float(each["value"][1]), each["metric"]) for each in found), key=lambda pair: -pair[0])
    parts = [
        f"{' '.join(v for k, v in metric.items() if k not in {'job', '__name__'})} {value:.4g}".strip()
        for value, metric in values[:3]
    ]
    return ", ".join(parts) + (f", … ({len(values)})" if len(values) > len(parts) else "")


def pod() -> str:
    """The chart's pod, started by podman: image, environment, security context. No cluster: no probes, no Service."""
    manifest = run(
        tool("helm"), "template", "pod", DEPLOY / "helm" / "vllm-sse-proxy", "--set", "upstream=http://127.0.0.1:1",
        "--set", f"image.repository={IMAGE.rpartition(':')[0]}", "--show-only", "templates/deployment.yaml",
    )  # fmt: skip
    document = yaml.safe_load(manifest)
    document["spec"]["replicas"] = 1
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        # podman makes a curl inside the container of each, and the image has none.
        document["spec"]["template"]["spec"]["containers"][0].pop(name)
    path = WORK / "pod.yaml"
    path.write_text(yaml.safe_dump(document))
    run("podman", "play", "kube", path)
    try:
        name = next(
            line
            for line in run("podman", "ps", "--format", "{{.Names}}").splitlines()
            if line.endswith("-proxy")
        )
        deadline = time.monotonic() + 15
        while True:
            with contextlib.suppress(subprocess.CalledProcessError):
                run("podman", "exec", name, "vllm-sse-proxy", "healthcheck")
                break
            expect(time.monotonic() < deadline, run("podman", "logs", name))
            time.sleep(0.2)
        return "the Deployment's pod runs and is ready"
    finally:
        run("podman", "play", "kube", "--down", path)


def inside() -> int:
    """Run what needs the namespace; the images are there."""
    steps = Steps()
    # All addresses of a namespace of our own, so that containers reach it.
    upstream = [sys.executable, "-m", "vllm_sse_proxy", "demo", "--upstream-only", "--host", "0.0.0.0"]  # noqa: S104
    with background("podman", "system", "service", "--time=0", f"unix://{WORK}/podman.sock"):
        with background(*upstream, "--port", "8000", "--event-delay-ms", "100"):
            wait_for("http://127.0.0.1:8000/health", seconds=20)
            container = Container()
            if steps.run("container: run", container.start):
                steps.run("container: health check", container.healthy)
                steps.run("container: locked down", container.locked)
                steps.run("container: a stream", lambda: stream_conforms(9000))
                steps.run("container: metrics", container.metrics)
                steps.run("front: nginx", through_nginx)
                steps.run("front: HAProxy", through_haproxy)
                steps.run("container: stop in the middle of a stream", container.stop)
        steps.run("kubernetes: the chart's pod", pod)
        stack = Stack()
        if steps.run("compose: up", stack.start):
            steps.run("compose: scraped by Prometheus", stack.scraped)
            steps.run("compose: dashboard", stack.dashboard)
        steps.run("compose: down", stack.stop)
    (WORK / "inside.json").write_text(json.dumps(steps.counts))
    return 0


def main() -> int:
    """Build, then run the rest in a namespace."""
    began = time.monotonic()
    steps = Steps()
    steps.run("grafana: schema", grafana_schema)
    ready = all(
        steps.run(name, step)
        for name, step in (
            ("engine", prepare),
            ("image: base", base_image),
            ("image: build", product_image),
            ("image: contents", image_contents),
            ("image: Prometheus", prometheus_image),
        )
    )
    if ready:
        result = WORK / "inside.json"
        result.unlink(missing_ok=True)
        run("ip", "netns", "add", NAMESPACE)
        try:
            run("ip", "netns", "exec", NAMESPACE, "ip", "link", "set", "lo", "up")
            # nsenter, not `ip netns exec`: that one hides /sys/fs/cgroup.
            subprocess.run(
                ["nsenter", f"--net=/run/netns/{NAMESPACE}", sys.executable, "-m", "deploy.verify", "--inside"],
                check=False, env=environment(), cwd=ROOT,
            )  # fmt: skip
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):
                run("podman", "rm", "--all", "--force", "--time", "2")
            run("ip", "netns", "del", NAMESPACE)
        counts = json.loads(result.read_text()) if result.exists() else {"failed": 1}
        for name, count in counts.items():
            steps.counts[name] += count
    else:
        print("SKIPPED everything that needs the images")
        steps.counts["skipped"] += 1
    print(f"verify-deploy: {steps.summary()} in {time.monotonic() - began:.0f} s")
    return 1 if steps.counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(inside() if sys.argv[1:] == ["--inside"] else main())
