"""What upstream gets as credentials, where it listens on a socket, and what is read again while the proxy runs."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.upstream import Cut, FakeUpstream, stream
from tests.support.whole_stream import BODY, WHOLE
from vllm_sse_proxy.cli import main
from vllm_sse_proxy.config import load
from vllm_sse_proxy.server import reloading
from vllm_sse_proxy.server.lifecycle import on_signal
from vllm_sse_proxy.server.supervisor import cores
from vllm_sse_proxy.settings import ServerSettings, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.conftest import Connect, Start

CLIENTS_OWN = ("Authorization: Bearer EMPTY", "X-Api-Key: clients", "Api-Key: clients")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text("sk-first\n")
    return file


def fields(caplog: pytest.LogCaptureFixture, message: str) -> list[dict[str, Any]]:
    return [vars(record)["fields"] for record in caplog.records if record.getMessage() == message]


def write(file: Path, text: str) -> None:
    file.write_text(text)


class TestKey:
    @pytest.mark.parametrize("headers", [CLIENTS_OWN, ()])
    async def test_it_takes_the_place_of_the_clients(
        self, upstream: FakeUpstream, start: Start, connect: Connect, key: Path, headers: tuple[str, ...]
    ) -> None:
        client = await connect(await start(upstream_api_key_file=str(key)))
        for target in ("/v1/responses", "/v1/embeddings"):
            upstream.answer(*stream(*WHOLE))
            await client.post(target, BODY, *headers)
            await client.answer()
            seen = await upstream.next_request()
            assert seen.value("Authorization") == "Bearer sk-first"
            assert not seen.values("X-Api-Key") + seen.values("Api-Key")

    async def test_without_one_the_client_keeps_its_own(
        self, upstream: FakeUpstream, start: Start, connect: Connect
    ) -> None:
        client = await connect(await start(upstream=upstream.url.replace("//", "//user:word@")))
        await client.get("/v1/models", *CLIENTS_OWN)
        await client.answer()
        seen = await upstream.next_request()
        assert (seen.value("Authorization"), seen.value("X-Api-Key")) == ("Bearer EMPTY", "clients")
        await client.get("/v1/models")
        await client.answer()
        assert (await upstream.next_request()).value("Authorization") == "Basic dXNlcjp3b3Jk"

    async def test_it_is_never_logged_nor_shown(
        self,
        upstream: FakeUpstream,
        start: Start,
        connect: Connect,
        key: Path,
        caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        caplog.set_level(logging.DEBUG, "vllm_sse_proxy")
        proxy = await start(upstream_api_key_file=str(key))
        proxy.look_at_upstream()
        proxy.reload()
        upstream.answer(Cut())
        client = await connect(proxy)
        await client.post("/v1/responses", BODY)
        await client.answer()
        assert proxy.gateway is not None
        assert main(["config", "show", "--upstream", upstream.url, "--upstream-api-key-file", str(key)]) == 0
        said = caplog.text + str([vars(each) for each in caplog.records]) + repr(proxy.gateway.forwarding)
        assert "sk-first" not in said + capsys.readouterr().out

    async def test_it_is_read_again(
        self,
        upstream: FakeUpstream,
        start: Start,
        connect: Connect,
        key: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.INFO, "vllm_sse_proxy")
        proxy = await start(upstream_api_key_file=str(key))
        client = await connect(proxy)

        async def sent() -> str | None:
            await client.get("/v1/models")
            await client.answer()
            return (await upstream.next_request()).value("Authorization")

        proxy.reload()
        write(key, "sk-second")
        assert await sent() == "Bearer sk-first"
        proxy.reload()
        assert await sent() == "Bearer sk-second"
        write(key, "two words")
        proxy.reload()
        assert await sent() == "Bearer sk-second"
        assert [line["changed"] for line in fields(caplog, "key for upstream reloaded")] == [False, True]
        (failed,) = fields(caplog, "key for upstream not reloaded")
        assert "words" not in failed["reason"]

    async def test_a_file_that_changes_is_read_without_a_signal(
        self, upstream: FakeUpstream, start: Start, connect: Connect, key: Path, tmp_path: Path
    ) -> None:
        mounted = tmp_path / "mounted"  # as Kubernetes does it: a link that leads to another file
        mounted.symlink_to(key)
        proxy = await start(upstream_api_key_file=str(mounted))
        reloader = proxy._reloader
        assert reloader is not None
        other = tmp_path / "other"
        other.write_text("sk-other")
        reloader.look()
        mounted.unlink()
        reloader.look()  # for a moment there is none
        mounted.symlink_to(other)
        reloader.look()
        client = await connect(proxy)
        await client.get("/v1/models")
        await client.answer()
        assert (await upstream.next_request()).value("Authorization") == "Bearer sk-other"

    async def test_the_watch_goes_on(
        self, start: Start, key: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "vllm_sse_proxy")
        monkeypatch.setattr(reloading, "WATCH_SECONDS", 0.01)
        proxy = await start(upstream_api_key_file=str(key))
        for count, text in enumerate(("sk-a", "sk-bb"), 1):
            write(key, text)
            async with asyncio.timeout(10):
                while len(fields(caplog, "key for upstream reloaded")) < count:  # noqa: ASYNC110 - a timer is waited for
                    await asyncio.sleep(0.005)
        await proxy.stop()

    @pytest.mark.parametrize(
        ("content", "command"),
        [
            *(
                (content, ["config", "check"])
                for content in (b"", b" \n", b"a b", b"a\nb", "schlüssel".encode(), b"x" * 9000, None)
            ),
            (b"", ["serve"]),
            (b"", ["serve", "--workers", "2"]),
        ],
    )
    def test_files_that_hold_none(
        self, key: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, command: list[str]
    ) -> None:
        if content is None:
            key.unlink()
        else:
            key.write_bytes(content)
        flags = (
            "--upstream",
            "http://h",
            "--upstream-api-key-file",
            str(key),
            "--port",
            "0",
            "--admin-port",
            "0",
        )
        assert main([*command, *flags]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("vllm-sse-proxy: upstream_api_key_file: ")

    def test_two_kinds_of_credentials(self) -> None:
        with pytest.raises(SettingsError, match="--upstream, --upstream-api-key-file: each has credentials"):
            load(ServerSettings, {"upstream": "http://u:p@h", "upstream_api_key_file": "x"})


class TestSocket:
    @pytest.fixture
    async def behind(self, tmp_path: Path) -> Any:
        class OnSocket(FakeUpstream):
            async def listen(self) -> asyncio.Server:
                from tests.support.upstream import _Connection  # noqa: PLC0415

                loop = asyncio.get_running_loop()
                return await loop.create_unix_server(lambda: _Connection(self), str(tmp_path / "vllm.sock"))

        async with OnSocket() as fake:
            yield fake

    async def test_streams(
        self,
        behind: FakeUpstream,
        start: Start,
        connect: Connect,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG, "vllm_sse_proxy")
        where = f"unix:{tmp_path}/vllm.sock"
        client = await connect(await start(upstream=where))
        for _ in range(2):
            await client.get("/v1/models")
            await client.answer()
            assert (await behind.next_request()).value("Host") == "localhost"
        behind.answer(*stream(*WHOLE))
        await client.post("/v1/responses?x=1", BODY)
        assert (await client.answer()).body == b"".join(WHOLE)
        assert (await behind.next_request()).target == b"/v1/responses?x=1"
        assert [line["connection"] for line in fields(caplog, "upstream answers")] == [
            "new",
            "reused",
            "reused",
        ]
        assert fields(caplog, "upstream answers")[0]["addresses"] == [f"{tmp_path}/vllm.sock"]
        assert fields(caplog, "listening")[0]["upstream"] == where

    async def test_a_reused_connection_that_was_closed(
        self, behind: FakeUpstream, start: Start, connect: Connect, tmp_path: Path
    ) -> None:
        client = await connect(await start(upstream=f"unix:{tmp_path}/vllm.sock"))
        await client.get("/v1/models")
        await client.answer()
        behind.answer(Cut())
        await client.get("/v1/models")
        assert (await client.answer()).status == 200
        assert len(behind.requests) == 3
        behind.close_idle()
        behind.answer(Cut())
        await client.get("/v1/models")  # whichever way it goes out, a new connection is not tried twice
        assert (await client.answer()).status in {200, 502}

    async def test_there_is_none(self, start: Start, connect: Connect, tmp_path: Path) -> None:
        client = await connect(await start(upstream=f"unix:{tmp_path}/none.sock"))
        await client.get("/v1/models")
        answered = await client.answer()
        assert (answered.status, answered.value("X-SSE-Proxy-Error")) == (502, "upstream_connect")
        assert str(tmp_path).encode() not in answered.body

    @pytest.mark.parametrize(
        ("given", "meant"),
        [
            ("unix:/run/vllm.sock", "/run/vllm.sock"),
            ("unix:///run/a b.sock", "/run/a b.sock"),
        ],
    )
    def test_addresses(self, given: str, meant: str) -> None:
        settings = load(ServerSettings, {"upstream": given})
        assert (settings.upstream_socket, settings.shown_upstream) == (meant, f"unix:{meant}")
        assert not settings.has_version_in_upstream

    @pytest.mark.parametrize(
        "bad", ["unix:", "unix:/", "unix:vllm.sock", "unix:/a\n", "unix:/a/", "unix:/" + "x" * 107]
    )
    def test_addresses_that_are_none(self, bad: str) -> None:
        with pytest.raises(SettingsError, match=r"--upstream: (must have|has a path)"):
            load(ServerSettings, {"upstream": bad})


class TestSystemsWithout:
    """What other systems lack; nothing here was run on one."""

    async def test_signal_handlers_of_the_loop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()

        def refuse(*_: object) -> None:
            raise NotImplementedError

        monkeypatch.setattr(loop, "add_signal_handler", refuse)
        received: asyncio.Future[signal.Signals] = loop.create_future()
        before = signal.getsignal(signal.SIGUSR1)
        try:
            on_signal("SIGUSR1", received.set_result)
            os.kill(os.getpid(), signal.SIGUSR1)
            async with asyncio.timeout(10):
                assert await received is signal.SIGUSR1
        finally:
            signal.signal(signal.SIGUSR1, before)

    async def test_signals(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(signal, "SIGHUP")
        on_signal("SIGHUP", print)
        on_signal("SIGBREAK", print)

    def test_affinity(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
        assert cores() == os.cpu_count()
