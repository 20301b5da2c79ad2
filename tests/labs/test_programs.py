"""The guard that keeps other people's programs out of `make test`."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "command",
    [
        ["npm", "ci"],
        ["/usr/bin/gcc", "x.c"],
        ["sh", "-c", "true"],
        [sys.executable, "-m", "pip", "install", "x"],
    ],
    ids=lambda command: command[0].rpartition("/")[2],
)
def test_a_foreign_program_is_refused(command: list[str]) -> None:
    with pytest.raises(AssertionError, match="a test starts"):
        subprocess.run(command, check=False)


async def test_asyncio_s_way_is_watched_too() -> None:
    with pytest.raises(AssertionError, match="a test starts node"):
        await asyncio.create_subprocess_exec("node", "driver.mjs")


def test_this_project_s_own_may_be_started() -> None:
    done = subprocess.run([sys.executable, "-c", "print(2)"], capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"
