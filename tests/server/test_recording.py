"""Recordings of streams: what is in them, what never is, their limits, and that no failure of a disk reaches a stream."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import tomllib
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.support.goldens import load_golden
from tests.support.http import metric
from tests.support.upstream import Chunk, Cut, Head, Wait, json_answer, stream
from tests.support.whole_stream import BODY, DELTA, WHOLE
from vllm_sse_proxy.cli import main
from vllm_sse_proxy.config import ServerSettings, SettingsError
from vllm_sse_proxy.server import recording
from vllm_sse_proxy.server.app import Server
from vllm_sse_proxy.server.supervisor import supervise

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.conftest import Connect, Start
    from tests.support.upstream import FakeUpstream

BROKEN = [frame.replace(b'"delta":"Hi."', b'"delta":{"content":"Hi."}') for frame in WHOLE]
SECRET = "sk-very-secret-1"


async def ask(
    server: Server, connect: Connect, path: str = "/v1/responses", body: bytes = BODY, *headers: str
) -> bytes:
    client = await connect(server)
    await client.post(path, body, *headers)
    return (await client.answer()).body


async def recorded(server: Server, folder: Path, number: int = 1) -> list[Path]:
    """Stop the proxy, which writes what is left, and return the recordings, the oldest first."""
    await server.stop()
    found = await asyncio.to_thread(lambda: sorted(folder.iterdir()))
    assert len(found) == number, found
    return found


def check(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["check", str(folder)]) == 1
    return capsys.readouterr().out


class TestRecording:
    async def test_what_is_in_it(
        self,
        capsys: pytest.CaptureFixture[str],
        upstream: FakeUpstream,
        start: Start,
        connect: Connect,
        tmp_path: Path,
    ) -> None:
        server = await start(record=str(tmp_path / "made" / "here"))
        upstream.answer(*stream(*BROKEN))
        got = await ask(server, connect, "/v1/responses", BODY, "X-Request-Id: id-1", "User-Agent: me")
        (folder,) = await recorded(server, tmp_path / "made" / "here")
        assert (folder / "upstream.sse").read_bytes() == b"".join(BROKEN[:-1]), "[DONE] was not waited for"
        assert "done_sentinel" not in check(folder, capsys)
        assert (folder / "client.sse").read_bytes() == got
        assert json.loads((folder / "request.json").read_bytes()) == json.loads(BODY)
        exchange = json.loads((folder / "exchange.json").read_bytes())
        assert exchange["repairs"] == {"string_deltas": 1}
        assert (exchange["family"], exchange["ending"], exchange["status"]) == ("responses", "completed", 200)
        assert (exchange["path"], exchange["request_id"]) == ("/v1/responses", "id-1")
        assert exchange["headers"] == {"User-Agent": "me"}
        assert exchange["is_whole"] is True
        assert metric(server, "recordings_total", outcome="written") == 1

    async def test_only_its_owner_may_read_it(
        self, upstream: FakeUpstream, start: Start, connect: Connect, tmp_path: Path
    ) -> None:
        server = await start(record=str(tmp_path / "new"))
        upstream.answer(*stream(*WHOLE))
        await ask(server, connect)
        (folder,) = await recorded(server, tmp_path / "new")
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}

    async def test_the_commands_and_the_tests_read_it(
        self, upstream: FakeUpstream, start: Start, connect: Connect, tmp_path: Path
    ) -> None:
        server = await start(record=str(tmp_path))
        upstream.answer(Head(), *map(Chunk, BROKEN[:5]), Cut())
        got = await ask(server, connect)
        (folder,) = await recorded(server, tmp_path)
        assert tomllib.loads((folder / "origin.toml").read_text("utf-8"))["end"] == "cut"
        made = tmp_path / "made.sse"
        assert main(["repair", str(folder), "-o", str(made)]) == 0
        assert made.read_bytes() == got
        assert main(["check", str(folder)]) == 1
        golden = load_golden(folder)
        assert golden.repaired()[0] == got

    async def test_a_request_that_was_repaired(
        self, upstream: FakeUpstream, start: Start, connect: Connect, tmp_path: Path
    ) -> None:
        server = await start(record=str(tmp_path))
        refusal = {"error": {"message": "Encrypted content is not supported."}}
        upstream.answer(*json_answer(refusal, status=400))
        upstream.answer(*stream(*WHOLE))
        item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
        body = orjson.dumps(
            {"model": "m", "stream": True, "input": [item, {"role": "user", "content": "hi"}]}
        )
        await ask(server, connect, "/v1/responses", body)
        (folder,) = await recorded(server, tmp_path)
        assert json.loads((folder / "request.json").read_bytes()) == json.loads(body)
        sent = json.loads((folder / "sent.json").read_bytes())
        assert sent != json.loads(body)
        seen = [await upstream.next_request() for _ in upstream.requests]
        assert sent == json.loads(seen[-1].body)

    async def test_chat_on_a_shared_path(
        self, upstream: FakeUpstream, start: Start, connect: Connect, tmp_path: Path
    ) -> None:
        server = await start(record=str(tmp_path))
        chunk = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[]}\n\n'
        upstream.answer(*stream(chunk))
        await ask(server, connect, "/invocations", b'{"messages":[],"stream":true}')
        (folder,) = await recorded(server, tmp_path)
        assert json.loads((folder / "exchange.json").read_bytes())["family"] == "chat"

    async def test_what_is_not_a_stream_is_not_recorded(
        self, upstream: FakeUpstream, start: Start, connect: Connect, tmp_path: Path
    ) -> None:
        server = await start(record=str(tmp_path))
        upstream.answer(*json_answer({"error": {"message": "no"}}, status=404))
        upstream.answer(*json_answer({"data": []}))
        await ask(server, connect)
        await ask(server, connect, "/other")
        await recorded(server, tmp_path, 0)
        assert server.gateway is not None
        assert server.gateway.recorder is not None
        assert server.gateway.recorder.held == 0

    async def test_observe_mode(
        self, upstream: FakeUpstream, start: Start, connect: Connect, tmp_path: Path
    ) -> None:
        server = await start(record=str(tmp_path), mode="observe")
        upstream.answer(*stream(*BROKEN))
        await ask(server, connect)
        (folder,) = await recorded(server, tmp_path)
        assert (folder / "client.sse").read_bytes() == (folder / "upstream.sse").read_bytes()

    async def test_a_client_that_leaves(
        self, upstream: FakeUpstream, start: Start, connect: Connect, tmp_path: Path
    ) -> None:
        server = await start(record=str(tmp_path))
        waiting = asyncio.Event()
        upstream.answer(Head(), Chunk(WHOLE[0]), Wait(waiting))
        client = await connect(server)
        await client.post("/v1/responses", BODY)
        await client.reader.readuntil(b"response.created")
        client.leave()
        seen = await upstream.next_request()
        await seen.closed.wait()
        (folder,) = await recorded(server, tmp_path)
        assert json.loads((folder / "exchange.json").read_bytes())["ending"] == "client_gone"


class TestCredentials:
    async def test_they_are_nowhere(
        self, upstream: FakeUpstream, start: Start, connect: Connect, tmp_path: Path
    ) -> None:
        server = await start(record=str(tmp_path))
        tool = {
            "type": "mcp",
            "server_url": f"https://user:{SECRET}@mcp.example/x",
            "headers": {"X-Whatever": f"{SECRET}-2"},
            "authorization": f"Bearer {SECRET}-3",
        }
        properties = {"password": {"type": "string", "description": "kept: it is a schema"}}
        body = {
            "model": "m",
            "stream": True,
            "input": "hi",
            "tools": [tool],
            "api_key": f"{SECRET}-4",
            "x": properties,
        }
        echo = orjson.dumps({"tools": [tool], "said": [f"{SECRET}-{n}" for n in (4, 5, 6, 7)]})
        upstream.answer(*stream(WHOLE[0], b"data: " + echo + b"\n\n", DELTA))
        await ask(
            server,
            connect,
            f"/v1/responses?key={SECRET}-5&stream=true&limit=3",
            orjson.dumps(body),
            f"Authorization: Bearer {SECRET}-6",
            f"X-Api-Key: {SECRET}-7",
            f"Cookie: a={SECRET}-8",
        )
        (folder,) = await recorded(server, tmp_path)
        for file in folder.iterdir():
            assert SECRET not in file.read_text("utf-8"), file.name
        kept = json.loads((folder / "request.json").read_bytes())
        assert kept["x"] == properties
        assert kept["tools"][0]["server_url"] == "https://mcp.example/x"
        exchange = json.loads((folder / "exchange.json").read_bytes())
        assert exchange["query"] == {"key": "[left out]", "stream": "true", "limit": "3"}
        assert exchange["headers"] == {}


class TestLimits:
    async def test_the_oldest_make_room(
        self, upstream: FakeUpstream, start: Start, connect: Connect, tmp_path: Path
    ) -> None:
        (tmp_path / "somebody-elses").mkdir()
        server = await start(record=str(tmp_path), record_max_streams=2)
        for number in range(4):
            upstream.answer(*stream(*WHOLE))
            await ask(server, connect, "/v1/responses", b'{"input":"%d"}' % number)
            assert server.gateway is not None
            assert server.gateway.recorder is not None
            await server.gateway.recorder.close()
        *found, other = await recorded(server, tmp_path, 3)
        assert other.name == "somebody-elses"
        assert [json.loads((one / "request.json").read_bytes())["input"] for one in found] == ["2", "3"]

    async def test_bytes(
        self, upstream: FakeUpstream, start: Start, connect: Connect, tmp_path: Path
    ) -> None:
        server = await start(record=str(tmp_path), record_max_bytes=1)
        for _ in range(2):
            upstream.answer(*stream(*WHOLE))
            await ask(server, connect)
        await recorded(server, tmp_path, 1)

    async def test_a_stream_that_is_too_long(
        self,
        upstream: FakeUpstream,
        start: Start,
        connect: Connect,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(recording, "MAX_STREAM_BYTES", len(BODY) + 2 * len(WHOLE[0]))
        server = await start(record=str(tmp_path))
        upstream.answer(*stream(*WHOLE))
        assert await ask(server, connect) == b"".join(WHOLE)
        (folder,) = await recorded(server, tmp_path)
        assert json.loads((folder / "exchange.json").read_bytes())["is_whole"] is False
        assert (folder / "upstream.sse").read_bytes() in {WHOLE[0], b""}

    async def test_a_request_that_is_too_long(
        self,
        upstream: FakeUpstream,
        start: Start,
        connect: Connect,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(recording, "MAX_STREAM_BYTES", 1)
        server = await start(record=str(tmp_path))
        upstream.answer(*stream(*WHOLE))
        await ask(server, connect)
        (folder,) = await recorded(server, tmp_path)
        assert not (folder / "request.json").exists()

    async def test_memory(
        self,
        upstream: FakeUpstream,
        start: Start,
        connect: Connect,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(recording, "MAX_HELD_BYTES", -1)
        server = await start(record=str(tmp_path))
        upstream.answer(*stream(*WHOLE))
        assert await ask(server, connect) == b"".join(WHOLE)
        await recorded(server, tmp_path, 0)
        assert metric(server, "recordings_total", outcome="skipped") == 1


class TestFailures:
    async def test_a_disk_that_fails(
        self,
        upstream: FakeUpstream,
        start: Start,
        connect: Connect,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        server = await start(record=str(tmp_path))
        monkeypatch.setattr(os, "fdopen", fail)
        for _ in range(2):
            upstream.answer(*stream(*WHOLE))
            assert await ask(server, connect) == b"".join(WHOLE)
        await recorded(server, tmp_path, 0)
        monkeypatch.undo()
        assert metric(server, "recordings_total", outcome="failed") == 2
        said = [record for record in caplog.records if "could not be written" in record.message]
        assert len(said) == 1

    async def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_text("")
        server = Server(ServerSettings(upstream="http://a:1", port=0, admin_port=0, record=str(file)))
        with pytest.raises(SettingsError, match="record: "):
            await server.start()

    def test_workers_do_not_even_start(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_text("")
        settings = ServerSettings(upstream="http://a:1", port=0, admin_port=0, workers=2, record=str(file))
        with pytest.raises(SettingsError, match="record: "):
            supervise(settings)

    async def test_it_says_that_it_records(
        self, start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        await start(record=str(tmp_path))
        assert "everything that users write, but no credentials" in caplog.text

    async def test_a_recording_that_another_worker_removes(self, tmp_path: Path) -> None:
        assert recording._size_of(tmp_path / "gone") == 0


async def test_nothing_is_recorded_unasked(start: Start) -> None:
    server = await start()
    assert server.gateway is not None
    assert server.gateway.recorder is None
