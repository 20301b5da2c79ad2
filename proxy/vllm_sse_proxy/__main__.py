"""``python -m vllm_sse_proxy`` is ``vllm-sse-proxy``."""

from __future__ import annotations

import sys

from vllm_sse_proxy.cli import main

if __name__ == "__main__":
    sys.exit(main())
