from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.responses.requests.repairs.unknown_options import UnknownOptions

REPAIR = UnknownOptions()


def test_unknown_words_go() -> None:
    body = {
        "service_tier": "fast",
        "reasoning": {"effort": "low", "summary": "none", "generate_summary": "all"},
    }
    assert body_after(REPAIR, body) == {"reasoning": {"effort": "low"}}


def test_known_words_stay() -> None:
    for tier in ("auto", "default", "flex", "scale", "priority", None, 7):
        assert repaired_by(REPAIR, {"service_tier": tier}) is None
    summaries: tuple[object, ...] = ("auto", "concise", "detailed", None, [])
    for summary in summaries:
        assert repaired_by(REPAIR, {"reasoning": {"summary": summary}}) is None
    assert repaired_by(REPAIR, {"reasoning": None}) is None
