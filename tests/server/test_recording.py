"""Recordings of streams: what is in them, what never is, their limits, and that no failure of a disk reaches a stream."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import tomllib
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.support.goldens import load_golden
from tests.support.http import metric
from tests.support.upstream import Chunk, Cut, Head, Wait, json_answer, stream
from tests.support.whole_stream import BODY, DELTA, WHOLE
from vllm_sse_proxy.cli import main
from vllm_sse_proxy.server import recording
from vllm_sse_proxy.server.app import Server
from vllm_sse_proxy.server.supervisor import supervise
from vllm_sse_proxy.settings import ServerSettings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.server.conftest import Connect, Start
    from tests.support.upstream import FakeUpstream, Step

BROKEN = [frame.replace(b'"delta":"Hi."', b'"delta":{"content":"Hi."}') for frame in WHOLE]
SECRET = "sk-very-secret-1"


class Desk:
    """A proxy that records into a folder, with its upstream and its clients.

    :ivar server: the proxy, once it was started.
    """

    server: Server

    def __init__(self, upstream: FakeUpstream, start: Start, connect: Connect, folder: Path) -> None:
        self.upstream = upstream
        self.folder = folder
        self._start = start
        self.connect = connect

    async def start(self, **settings: Any) -> None:
        self.server = await self._start(record=str(self.folder), **settings)

    async def ask(
        self, steps: Iterable[Step], *headers: str, path: str = "/v1/responses", body: bytes = BODY
    ) -> bytes:
        """Send a request, to which upstream answers so; return what the client gets."""
        self.upstream.answer(*steps)
        client = await self.connect(self.server)
        await client.post(path, body, *headers)
        return (await client.answer()).body

    async def recorded(self, number: int = 1) -> list[Path]:
        """Stop the proxy, which writes what is left, and return the recordings, the oldest first."""
        await self.server.stop()
        found = await asyncio.to_thread(lambda: sorted(self.folder.iterdir()))
        assert len(found) == number, found
        return found

    @property
    def recorder(self) -> recording.Recorder:
        assert self.server.gateway is not None
        assert self.server.gateway.recorder is not None
        return self.server.gateway.recorder


@pytest.fixture
def desk(upstream: FakeUpstream, start: Start, connect: Connect, tmp_path: Path) -> Desk:
    return Desk(upstream, start, connect, tmp_path / "made" / "here")


def json_of(folder: Path, name: str = "exchange.json") -> Any:
    return json.loads((folder / name).read_bytes())


def check(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["check", str(folder)]) == 1
    return capsys.readouterr().out


class TestRecording:
    async def test_what_is_in_it(
        self,
        capsys: pytest.CaptureFixture[str],
        desk: Desk,
    ) -> None:
        await desk.start()
        got = await desk.ask(stream(*BROKEN), "X-Request-Id: id-1", "User-Agent: me")
        (folder,) = await desk.recorded()
        assert (folder / "upstream.sse").read_bytes() == b"".join(BROKEN[:-1]), "[DONE] was not waited for"
        assert "done_sentinel" not in check(folder, capsys)
        assert (folder / "client.sse").read_bytes() == got
        assert json_of(folder, "request.json") == json.loads(BODY)
        exchange = json_of(folder)
        assert exchange["repairs"] == {"string_deltas": 1}
        assert (exchange["family"], exchange["ending"], exchange["status"]) == ("responses", "completed", 200)
        assert (exchange["path"], exchange["request_id"]) == ("/v1/responses", "id-1")
        assert exchange["headers"] == {"User-Agent": "me"}
        assert exchange["is_whole"] is True
        assert metric(desk.server, "recordings_total", outcome="written") == 1

    async def test_only_its_owner_may_read_it(self, desk: Desk) -> None:
        await desk.start()
        await desk.ask(stream(*WHOLE))
        (folder,) = await desk.recorded()
        assert stat.S_IMODE(desk.folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}

    async def test_the_commands_and_the_tests_read_it(self, desk: Desk) -> None:
        await desk.start()
        got = await desk.ask((Head(), *map(Chunk, BROKEN[:5]), Cut()))
        (folder,) = await desk.recorded()
        assert tomllib.loads((folder / "origin.toml").read_text("utf-8"))["end"] == "cut"
        made = desk.folder.parent / "made.sse"
        assert main(["repair", str(folder), "-o", str(made)]) == 0
        assert made.read_bytes() == got
        assert main(["check", str(folder)]) == 1
        golden = load_golden(folder)
        assert golden.repaired()[0] == got

    async def test_a_request_that_was_repaired(self, desk: Desk) -> None:
        await desk.start()
        refusal = {"error": {"message": "Encrypted content is not supported."}}
        desk.upstream.answer(*json_answer(refusal, status=400))
        item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
        body = orjson.dumps(
            {"model": "m", "stream": True, "input": [item, {"role": "user", "content": "hi"}]}
        )
        await desk.ask(stream(*WHOLE), body=body)
        (folder,) = await desk.recorded()
        assert json_of(folder, "request.json") == json.loads(body)
        sent = json_of(folder, "sent.json")
        assert sent != json.loads(body)
        seen = [await desk.upstream.next_request() for _ in desk.upstream.requests]
        assert sent == json.loads(seen[-1].body)

    async def test_chat_on_a_shared_path(self, desk: Desk) -> None:
        await desk.start()
        chunk = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[]}\n\n'
        await desk.ask(stream(chunk), path="/invocations", body=b'{"messages":[],"stream":true}')
        (folder,) = await desk.recorded()
        assert json_of(folder)["family"] == "chat"

    async def test_what_is_not_a_stream_is_not_recorded(self, desk: Desk) -> None:
        await desk.start()
        await desk.ask(json_answer({"error": {"message": "no"}}, status=404))
        await desk.ask(json_answer({"data": []}), path="/other")
        await desk.recorded(0)
        assert desk.recorder.held == 0

    async def test_observe_mode(self, desk: Desk) -> None:
        await desk.start(mode="observe")
        await desk.ask(stream(*BROKEN))
        (folder,) = await desk.recorded()
        assert (folder / "client.sse").read_bytes() == (folder / "upstream.sse").read_bytes()

    async def test_a_client_that_leaves(self, desk: Desk) -> None:
        await desk.start()
        waiting = asyncio.Event()
        desk.upstream.answer(Head(), Chunk(WHOLE[0]), Wait(waiting))
        client = await desk.connect(desk.server)
        await client.post("/v1/responses", BODY)
        await client.reader.readuntil(b"response.created")
        client.leave()
        seen = await desk.upstream.next_request()
        await seen.closed.wait()
        (folder,) = await desk.recorded()
        assert json_of(folder)["ending"] == "client_gone"


class TestCredentials:
    async def test_they_are_nowhere(self, desk: Desk) -> None:
        await desk.start()
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
        await desk.ask(
            stream(WHOLE[0], b"data: " + echo + b"\n\n", DELTA),
            f"Authorization: Bearer {SECRET}-6",
            f"X-Api-Key: {SECRET}-7",
            f"Cookie: a={SECRET}-8",
            path=f"/v1/responses?key={SECRET}-5&stream=true&limit=3",
            body=orjson.dumps(body),
        )
        (folder,) = await desk.recorded()
        for file in folder.iterdir():
            assert SECRET not in file.read_text("utf-8"), file.name
        kept = json_of(folder, "request.json")
        assert kept["x"] == properties
        assert kept["tools"][0]["server_url"] == "https://mcp.example/x"
        exchange = json_of(folder)
        assert exchange["query"] == {"key": "[left out]", "stream": "true", "limit": "3"}
        assert exchange["headers"] == {}


class TestLimits:
    async def test_the_oldest_make_room(self, desk: Desk) -> None:
        (desk.folder / "somebody-elses").mkdir(parents=True)
        await desk.start(record_max_streams=2)
        for number in range(4):
            await desk.ask(stream(*WHOLE), body=b'{"input":"%d"}' % number)
            await desk.recorder.close()
        *found, other = await desk.recorded(3)
        assert other.name == "somebody-elses"
        assert [json_of(one, "request.json")["input"] for one in found] == ["2", "3"]

    async def test_bytes(self, desk: Desk) -> None:
        await desk.start(record_max_bytes=1)
        for _ in range(2):
            await desk.ask(stream(*WHOLE))
        await desk.recorded(1)

    async def test_a_stream_that_is_too_long(
        self,
        desk: Desk,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(recording, "MAX_STREAM_BYTES", len(BODY) + 2 * len(WHOLE[0]))
        await desk.start()
        assert await desk.ask(stream(*WHOLE)) == b"".join(WHOLE)
        (folder,) = await desk.recorded()
        assert json_of(folder)["is_whole"] is False
        assert (folder / "upstream.sse").read_bytes() in {WHOLE[0], b""}

    async def test_a_request_that_is_too_long(
        self,
        desk: Desk,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(recording, "MAX_STREAM_BYTES", 1)
        await desk.start()
        await desk.ask(stream(*WHOLE))
        (folder,) = await desk.recorded()
        assert not (folder / "request.json").exists()

    async def test_memory(
        self,
        desk: Desk,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(recording, "MAX_HELD_BYTES", -1)
        await desk.start()
        assert await desk.ask(stream(*WHOLE)) == b"".join(WHOLE)
        await desk.recorded(0)
        assert metric(desk.server, "recordings_total", outcome="skipped") == 1


class TestFailures:
    async def test_a_disk_that_fails(
        self,
        desk: Desk,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        await desk.start()
        monkeypatch.setattr(os, "fdopen", fail)
        for _ in range(2):
            assert await desk.ask(stream(*WHOLE)) == b"".join(WHOLE)
        await desk.recorded(0)
        monkeypatch.undo()
        assert metric(desk.server, "recordings_total", outcome="failed") == 2
        said = [record for record in caplog.records if "could not be written" in record.message]
        assert len(said) == 1

    async def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_text("")
        with pytest.raises(SettingsError, match="record: "):
            recording.find_folder(ServerSettings(upstream="http://a:1", record=str(file)))
        server = Server(ServerSettings(upstream="http://a:1", port=0, admin_port=0, record=str(file)))
        with pytest.raises(SettingsError, match="record: "):
            await server.start()

    def test_a_folder_is_found_out_about_and_not_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "not" / "there"
        settings = ServerSettings(upstream="http://a:1", record=str(folder))
        recording.find_folder(settings)
        assert not folder.parent.exists()
        monkeypatch.setattr("os.access", lambda *_: False)
        with pytest.raises(SettingsError, match=f"^record: {folder}: {tmp_path}: Permission denied$"):
            recording.find_folder(settings)
        recording.find_folder(ServerSettings(upstream="http://a:1"))

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
