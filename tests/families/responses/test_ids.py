"""An id depends on its parts alone."""

from __future__ import annotations

from vllm_sse_proxy.families.responses.ids import derive_id


def test_an_id_depends_on_its_parts_alone() -> None:
    assert derive_id("fc", "a", 1) == derive_id("fc", "a", 1)
    assert derive_id("fc", "a", 1) != derive_id("fc", "a", 2)
    assert derive_id("fc", "\ud800").startswith("fc_")
