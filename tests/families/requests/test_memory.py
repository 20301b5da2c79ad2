from __future__ import annotations

from vllm_sse_proxy.families.requests import Facts, RequestMemory, Step

KEY = ("http://upstream", "m")
TOOLS = frozenset({"namespace_tools"})
BOTH = TOOLS | {"web_search_tool"}
NOTHING = Facts()


def test_nothing_is_known_at_first() -> None:
    memory = RequestMemory()
    assert not memory.knows(KEY)
    assert memory.step(KEY, BOTH, 0) is Step.FIRST
    assert memory.facts(KEY, NOTHING) is NOTHING
    assert len(memory) == 0


def test_a_request_with_the_same_features_or_more() -> None:
    memory = RequestMemory()
    memory.passed(KEY, BOTH, Step.LOSSY, NOTHING, 0)
    assert memory.knows(KEY)
    assert memory.step(KEY, BOTH, 1) is Step.LOSSY
    assert memory.step(KEY, BOTH | {"efforts"}, 1) is Step.LOSSY
    assert memory.step(KEY, TOOLS, 1) is Step.FIRST, "it may be accepted"
    assert memory.step(("http://upstream", "other"), BOTH, 1) is Step.FIRST


def test_the_smallest_set_is_kept() -> None:
    memory = RequestMemory()
    memory.passed(KEY, BOTH, Step.LOSSY, NOTHING, 0)
    memory.passed(KEY, TOOLS, Step.LOSSLESS, NOTHING, 1)
    assert len(memory) == 1
    assert memory.step(KEY, BOTH, 2) is Step.LOSSLESS


def test_of_several_the_furthest_step() -> None:
    memory = RequestMemory()
    memory.passed(KEY, TOOLS, Step.LOSSLESS, NOTHING, 0)
    memory.passed(KEY, frozenset({"web_search_tool"}), Step.LOSSY, NOTHING, 0)
    assert memory.step(KEY, BOTH, 1) is Step.LOSSY


def test_it_is_asked_again_after_a_while() -> None:
    memory = RequestMemory(lifetime_seconds=10)
    memory.passed(KEY, BOTH, Step.LOSSY, NOTHING, 0)
    assert memory.step(KEY, BOTH, 9.9) is Step.LOSSY
    assert memory.step(KEY, BOTH, 10) is Step.FIRST
    assert not memory.knows(KEY)


def test_only_what_is_old_is_forgotten() -> None:
    memory = RequestMemory(lifetime_seconds=10)
    memory.passed(KEY, BOTH, Step.LOSSY, NOTHING, 0)
    memory.passed(KEY, frozenset({"efforts"}), Step.LOSSY, NOTHING, 5)
    assert memory.step(KEY, frozenset({"efforts"}), 12) is Step.LOSSY
    assert memory.step(KEY, BOTH, 12) is Step.FIRST


def test_what_was_refuted() -> None:
    memory = RequestMemory()
    memory.passed(KEY, TOOLS, Step.LOSSLESS, NOTHING, 0)
    memory.passed(KEY, frozenset({"efforts"}), Step.LOSSY, NOTHING, 0)
    memory.refuted(KEY, BOTH)
    assert memory.step(KEY, BOTH, 1) is Step.FIRST
    assert memory.knows(KEY)
    memory.refuted(KEY, frozenset({"efforts"}))
    assert not memory.knows(KEY)
    memory.refuted(KEY, BOTH)


def test_what_refusals_have_shown() -> None:
    memory = RequestMemory()
    memory.passed(KEY, BOTH, Step.LOSSY, Facts(harmony=True), 0)
    memory.learn(
        ("http://upstream", "blind"), Facts(harmony=False, sees_pictures=False, strict_template=True)
    )
    assert memory.facts(KEY, Facts(release=(0, 32))) == Facts(release=(0, 32), harmony=True)
    assert memory.facts(("http://upstream", "blind"), Facts()) == Facts(
        harmony=False, sees_pictures=False, strict_template=True
    )
    assert memory.facts(KEY, Facts(sees_pictures=True)).sees_pictures


def test_another_start_of_upstream() -> None:
    memory = RequestMemory()
    other = ("http://other", "m")
    for key in (KEY, other):
        memory.identify(key[0], "0.32.0 started at 1")
        memory.passed(key, BOTH, Step.LOSSY, Facts(harmony=True), 0)
    memory.identify(KEY[0], "0.32.0 started at 1")
    assert memory.step(KEY, BOTH, 1) is Step.LOSSY
    memory.identify(KEY[0], "0.33.0 started at 2")
    assert not memory.knows(KEY)
    assert memory.facts(KEY, NOTHING) is NOTHING
    assert memory.step(other, BOTH, 1) is Step.LOSSY
    assert memory.facts(other, NOTHING).harmony


def test_it_is_bounded() -> None:
    memory = RequestMemory(max_models=3, max_sets=2)
    for number in range(10):
        key = ("http://upstream", f"m{number}")
        for feature in "abc":
            memory.passed(key, frozenset(feature), Step.LOSSY, Facts(harmony=True), number)
    assert len(memory) == 6
    assert not memory.knows(("http://upstream", "m6"))
    assert memory.facts(("http://upstream", "m6"), NOTHING) is NOTHING
    last = ("http://upstream", "m9")
    assert memory.step(last, frozenset("a"), 9) is Step.FIRST
    assert memory.step(last, frozenset("c"), 9) is Step.LOSSY


def test_long_names_and_empty_sets_are_not_kept() -> None:
    memory = RequestMemory()
    memory.passed(("u", "m" * 1000), BOTH, Step.LOSSY, Facts(harmony=True), 0)
    memory.passed(KEY, frozenset(), Step.LOSSY, NOTHING, 0)
    assert len(memory) == 0
    assert memory.facts(("u", "m" * 1000), NOTHING) is NOTHING
