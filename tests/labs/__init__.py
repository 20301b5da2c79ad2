"""The laboratories: what is found out about the proxy with other people's programs, or in more than a few seconds.

| folder | what it runs | targets | its results stand in |
|---|---|---|---|
| `clients` | real clients, over every broken stream | `clients`, `quick-clients` | docs/compatibility.md, clients-chat.md |
| `conformance` | conformance suites that others wrote, over recorded servers | `conformance` | docs/compatibility.md |
| `live` | a real vLLM with models that it trains itself, and the same clients | `live` | docs/compatibility.md |
| `requests` | requests and whole turns of real clients, at servers that refuse them | `requests` | docs/requests.md |
| `faults` | an upstream, a network and clients that fail | `faults`, `smuggling`, `soak` | docs/reliability.md |
| `fuzz` | atheris on the decoder and the normalizer | `fuzz` | |
| `deploy` | the tools that judge the files in deploy/ | `check-deploy` | |

`make test` runs none of them. It runs the tests *of* the laboratories (`test_*.py`): they install nothing, compile nothing and
start no program but this project's own. Checks that pytest runs with the tools of others are called `check_*.py`: pytest
collects those only where a target names them.
"""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
"""The repository."""
