"""`make test` starts no program but this project's own: whatever else a test starts is an error.

What runs other people's programs is a laboratory (tests/labs), and has a target of its own in the Makefile.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

OWN: Final = Path(sys.executable).parent
"""The environment's programs: its Python, and this project's command."""
STAND_INS: Final = frozenset({"true", "false"})
"""For a process of this project's own that ends at once."""
ABOUT_THE_MACHINE: Final = (["uname", "-p"], ["file", "-b"])
"""What pytest's plugins ask, through :func:`platform.platform` and :func:`platform.architecture`, when they begin."""
INSTALLERS: Final = frozenset({"pip", "venv", "ensurepip", "virtualenv"})

_any_allowed = False


def allow_any() -> None:
    """Let this process start what it likes: for checks that are about other people's programs."""
    global _any_allowed  # noqa: PLW0603 - an audit hook cannot be taken away again
    _any_allowed = True


def guard() -> None:
    """Refuse foreign programs from now on."""
    sys.addaudithook(_refuse_foreign)


def _refuse_foreign(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "subprocess.Popen" or _any_allowed:
        return
    executable, words, *_ = arguments
    command = [str(word) for word in ([words] if isinstance(words, str | bytes) else words)]
    program = Path(str(executable or command[0]))
    own = program.parent == OWN or program.name in STAND_INS or command[:2] in ABOUT_THE_MACHINE
    if not own or INSTALLERS & set(command[1:3]):
        raise AssertionError(f"a test starts {' '.join(command)[:200]}: see tests/support/programs.py")
