"""Numbers of the command line, beside the settings. Each function is the type of an argument, and says what is wrong."""

from __future__ import annotations

import argparse
import math
from typing import Final

_LAST_PORT: Final = 65535
_PORT_DIGITS: Final = 5


def positive_seconds(text: str) -> float:
    """Read a time that is above 0.

    :raises argparse.ArgumentTypeError: it is none.
    """
    return _number(text, above_zero=True)


def milliseconds(text: str) -> float:
    """Read a time that is 0 or more.

    :raises argparse.ArgumentTypeError: it is none.
    """
    return _number(text, above_zero=False)


def port_number(text: str) -> int:
    """Read a port; 0 is any that is free.

    :raises argparse.ArgumentTypeError: it is none.
    """
    if not text.isascii() or not text.isdecimal() or len(text) > _PORT_DIGITS or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a number from 0 to {_LAST_PORT}")
    return int(text)


def _number(text: str, *, above_zero: bool) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0 or (above_zero and value == 0):
        bound = "above 0" if above_zero else "of 0 or more"
        raise argparse.ArgumentTypeError(f"{text!r} is not a number {bound}")
    return value
