"""The credentials that upstream gets: a key from a file, or the user and password of its URL. They are never logged.

The key takes the place of what the client sent, because SDKs always send something, if only ``Bearer EMPTY``. The user and the
password of the URL are for requests without any authorization: they are meant for a proxy in front of vLLM.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from yarl import URL

from vllm_sse_proxy.settings import SettingsError

if TYPE_CHECKING:
    from multidict import CIMultiDict

    from vllm_sse_proxy.settings import ServerSettings

_MAX_BYTES: Final = 8192
"""A longer file is not a key; half of what vLLM's HTTP parser takes as a whole header by default."""

CLIENT_CREDENTIALS: Final = ("Authorization", "X-Api-Key", "Api-Key")
"""Headers in which clients of OpenAI's, Anthropic's and Azure's APIs send their key."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What is sent to upstream.

    :ivar authorization: the value of ``Authorization``; None: what the client sent.
    :ivar replaces: whether it takes the place of the client's credentials, or is for requests without any.
    """

    authorization: str | None = field(default=None, repr=False)
    replaces: bool = False

    @classmethod
    def of(cls, settings: ServerSettings) -> Credentials:
        """Return what the settings say, and the file that they name.

        :raises SettingsError: the file cannot be used; the message shows nothing of it.
        """
        if settings.upstream_api_key_file is not None:
            return cls(authorization=f"Bearer {_key(settings.upstream_api_key_file)}", replaces=True)
        return cls(authorization=_basic(settings.upstream))

    def apply(self, headers: CIMultiDict[str]) -> None:
        """Put them into the headers of a request to upstream."""
        if self.authorization is None:
            return
        if self.replaces:
            for name in CLIENT_CREDENTIALS:
                headers.popall(name, None)
        headers.setdefault("Authorization", self.authorization)


def _key(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError([f"upstream_api_key_file: {path}: {error.strerror or error}"]) from None
    key = raw.strip()
    if not key or len(raw) > _MAX_BYTES or not all(0x21 <= byte <= 0x7E for byte in key):  # noqa: PLR2004 - "!" to "~"
        raise SettingsError(
            [
                f"upstream_api_key_file: {path}: must hold one key and nothing else: printable ASCII without spaces"
            ]
        )
    return key.decode("ascii")


def _basic(upstream: str) -> str | None:
    url = URL(upstream)
    if url.user is None and url.password is None:
        return None
    return "Basic " + base64.b64encode(f"{url.user or ''}:{url.password or ''}".encode()).decode()
