# ruff: noqa: T201 - a command prints
"""Replay a folder of recordings through a running proxy: `python -m tests.support.replay_sockets DIR`.

Starts `vllm-sse-proxy serve` as a process, in front of an upstream that answers each recorded request with the recorded
bytes, one event a chunk, and ends the connection as the recording does: cleanly, cut, or open and silent. Streams of
/v1/responses are judged by the checker and by the `openai` package's types, before and after. What comes of other streams
that are repaired has to be what the core makes of them; everything else has to come through byte for byte. What the proxy
counted is printed last.
"""

import argparse
import asyncio
import re
import sys
import urllib.request
from collections import Counter, defaultdict
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from tests.support.http import Answer, RawClient
from tests.support.recordings import Recording, load_all
from tests.support.replay import faults, lost_words
from tests.support.serving import Serving
from tests.support.upstream import Chunk, Cut, End, FakeUpstream, Head, Seen, Step, Wait, answer
from vllm_sse_proxy import BodyEnd, Dialect, Plan, StreamNormalizer
from vllm_sse_proxy.families import FAMILIES, RESPONSES
from vllm_sse_proxy.stream.family import Family

IDLE_SECONDS = 2.0
AT_ONCE = 12
"""How many exchanges run at a time: those that wait for the idle timeout do so together."""
NUMBER = "X-Recording"
"""The header that names the recording that is wanted of upstream."""
SHOWN = 5
_FRAMES = re.compile(rb".*?\n\n|.+", re.DOTALL)


def script(recording: Recording) -> tuple[Step, ...]:
    """Return what upstream does."""
    if not recording.content_type.startswith("text/event-stream"):
        kind = [("Content-Type", recording.content_type)]
        return answer(recording.body, status=recording.status, reason="Recorded", headers=kind)
    head = Head(status=recording.status, headers=(("Content-Type", recording.content_type),))
    end: Step
    match recording.known_end:
        case BodyEnd.EOF:
            end = End()
        case BodyEnd.IDLE_TIMEOUT:
            end = Wait(asyncio.Event())
        case _:
            end = Cut()
    return (head, *map(Chunk, _FRAMES.findall(recording.body)), end)


def judge(recording: Recording, received: Answer, dialect: Dialect) -> list[str]:
    """Return what is wrong with what the client got."""
    if recording.is_response_stream:
        if received.status != 200:  # nothing was emitted: then it has to be an HTTP error in OpenAI's form
            error = orjson.loads(received.body).get("error", {})
            return (
                []
                if received.status >= 500 and error.get("code")
                else [f"{received.status} {received.body!r}"]
            )
        found = faults(received.body, dialect=dialect) + lost_words(recording.body, received.body)
        return found if received.complete else [*found, "the body was not ended"]
    family = family_of(recording)
    if family is not None:
        return judge_repaired(recording, received, family)
    same = received.status == recording.status and received.body == recording.body
    whole = received.complete == (recording.known_end is BodyEnd.EOF)
    return [] if same and whole else ["not byte for byte what upstream sent"]


def family_of(recording: Recording) -> Family | None:
    """Return the family that repairs a recorded stream; None if it is none, or one of Responses."""
    if recording.status != HTTPStatus.OK or not recording.content_type.startswith("text/event-stream"):
        return None
    paths = {endpoint.path: family for family in FAMILIES for endpoint in family.endpoints}
    family = paths.get(recording.path.partition("?")[0])
    return None if family is RESPONSES else family


def judge_repaired(recording: Recording, received: Answer, family: Family) -> list[str]:
    """Return whether the client got what the core makes of a stream."""
    request = recording.request if isinstance(recording.request, dict) else None
    normalizer = StreamNormalizer(Plan.of(family), family.context("", request))
    made = normalizer.feed(recording.body) + normalizer.finish(recording.known_end)
    failure = normalizer.failure
    if failure is not None and not normalizer.committed:
        return [] if received.status == failure.status else [f"{received.status} instead of {failure.status}"]
    same = received.status == recording.status and received.body == made and received.complete
    return [] if same else ["not what the core makes of it"]


async def exchange(port: int, recording: Recording, number: int) -> Answer:
    """Send the recorded request through the proxy, with the number of its recording."""
    client = await RawClient.connect(port)
    headers = ("Content-Type: application/json", f"{NUMBER}: {number}")
    if recording.method == "POST":
        await client.post(recording.path, orjson.dumps(recording.request), *headers)
    else:
        await client.get(recording.path, *headers)
    try:
        return await client.answer()
    finally:
        client.leave()


class RecordedUpstream(FakeUpstream):
    """Answers each request with the recording whose number it carries."""

    def __init__(self, recordings: list[Recording]) -> None:
        super().__init__()
        self._recordings = recordings

    def arrived(self, seen: Seen) -> tuple[Step, ...]:
        return script(self._recordings[int(seen.value(NUMBER) or 0)])


async def replay(recordings: list[Recording], dialect: Dialect) -> int:
    """Replay, print, and return how many exchanges have a problem."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    options = ["--dialect", dialect.value, "--idle-timeout-seconds", str(IDLE_SECONDS)]
    options += ["--status-poll-seconds", "0"]  # a recording has no status to ask for
    # Left out: upstream answered nothing; or the proxy asks for the whole stream, which the recording does not hold.
    chosen = [each for each in recordings if each.status and not (each.is_response_stream and each.is_suffix)]
    turns = asyncio.Semaphore(AT_ONCE)
    async with RecordedUpstream(chosen) as upstream, Serving(upstream.url, *options) as proxy:
        port = urlsplit(proxy.url).port or 0

        async def answered(number: int) -> Answer:
            async with turns:
                return await exchange(port, chosen[number], number)

        answers = await asyncio.gather(*map(answered, range(len(chosen))))
        for recording, answer_ in zip(chosen, answers, strict=True):
            found = judge(recording, answer_, dialect)
            count = counts[recording.release]
            if recording.is_response_stream:
                count["streams"] += 1
                count["before"] += not faults(recording.body, dialect=dialect)
                count["after"] += not found
            else:
                count["others"] += 1
                count["unchanged"] += not found
            if found:
                print(f"{recording.name} ({recording.end}, {len(recording.body)} bytes): {len(found)}")
                for line in found[:SHOWN]:
                    print(f"    {line}")
        with await asyncio.to_thread(urllib.request.urlopen, f"{proxy.admin_url}/metrics") as page:
            metrics = page.read().decode()
    columns = ("streams", "before", "after", "others", "unchanged")
    print("\nrelease   " + "".join(f"{column:>12}" for column in columns))
    for release, count in sorted(counts.items()):
        print(f"{release:10}" + "".join(f"{count[column]:>12}" for column in columns))
    print(*re.findall(r"^sse_proxy_(?:streams|repairs)_total.* [1-9].*$", metrics, re.MULTILINE), sep="\n")
    return sum(
        count["streams"] - count["after"] + count["others"] - count["unchanged"] for count in counts.values()
    )


def main(arguments: list[str]) -> int:
    """Replay and return 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dialect", type=Dialect, choices=list(Dialect), default=Dialect.OPENAI)
    options = parser.parse_args(arguments)
    return int(asyncio.run(replay(load_all(options.folder), options.dialect)) > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
