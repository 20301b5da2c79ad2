"""Every recorded stream through the running proxy, as a process, over sockets (`make replay`)."""

import asyncio
from pathlib import Path

import pytest

from tests.support.recordings import load_all
from tests.support.replay_sockets import replay
from vllm_sse_proxy import Dialect

RECORDINGS = Path(__file__).parent / "recordings"


@pytest.mark.long
def test_every_recording_conforms_through_the_running_proxy(capsys: pytest.CaptureFixture[str]) -> None:
    recordings = load_all(RECORDINGS)
    assert len(recordings) > 100
    assert asyncio.run(replay(recordings, Dialect.OPENAI)) == 0, capsys.readouterr().out
    assert 'sse_proxy_streams_total{ending="completed",family="responses"}' in capsys.readouterr().out
