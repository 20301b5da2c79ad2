"""What is read again while the proxy runs: the certificate of the data port and the key for upstream.

On SIGHUP; and without one when their files change, since nobody sends signals in Kubernetes, where a secret that is renewed
appears in the pod after a while. What cannot be used changes nothing, and that is logged.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy import logs
from vllm_sse_proxy.server.credentials import Credentials
from vllm_sse_proxy.server.recording import find_folder
from vllm_sse_proxy.server.spans import check_packages
from vllm_sse_proxy.server.tls import fingerprint_of, listener_context, reload_certificate, upstream_context
from vllm_sse_proxy.settings import SettingsError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from vllm_sse_proxy.settings import ServerSettings

WATCH_SECONDS: Final = 30.0
"""How long a change of a file may go unnoticed. Certificates are renewed days before they expire."""

Signature = tuple[tuple[int, int, int] | None, ...]


class Reloader:
    """Reads the files again.

    :param tls: the data port's context, which is changed in place; None: it has none.
    :param use: is called with new credentials for upstream.
    """

    def __init__(
        self, settings: ServerSettings, tls: ssl.SSLContext | None, use: Callable[[Credentials], None]
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._use = use
        self._credentials = Credentials.of(settings)
        self._fingerprint = fingerprint_of(settings)
        self._files = [
            Path(name)
            for name in (settings.tls_cert_file, settings.tls_key_file, settings.upstream_api_key_file)
            if name is not None
        ]
        self._signature = self._sign()
        self._timer: asyncio.TimerHandle | None = None
        use(self._credentials)

    def reload(self) -> None:
        """Read all of them again, and log what has changed."""
        self._signature = self._sign()
        if self._tls is not None:
            self._reload_certificate(self._tls)
        if self._settings.upstream_api_key_file is not None:
            self._reload_key()
        if not self._files:
            logs.emit(
                logging.INFO, "nothing to reload: there is neither a certificate nor a key for upstream"
            )

    def watch(self) -> None:
        """Look at the files now and then from now on, and reload when one has changed."""
        if self._files:
            self._timer = asyncio.get_running_loop().call_later(WATCH_SECONDS, self.look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def look(self) -> None:
        """Reload if a file has changed since it was read."""
        if self._sign() != self._signature:
            self.reload()
        self.watch()

    def _sign(self) -> Signature:
        return tuple(map(_signature, self._files))

    def _reload_certificate(self, tls: ssl.SSLContext) -> None:
        try:
            fingerprint = reload_certificate(tls, self._settings)
        except (SettingsError, OSError) as error:
            logs.emit(logging.ERROR, "certificate not reloaded", reason=str(error))
            return
        changed, self._fingerprint = fingerprint != self._fingerprint, fingerprint
        logs.emit(logging.INFO, "certificate reloaded", changed=changed, file_sha256=fingerprint)

    def _reload_key(self) -> None:
        try:
            credentials = Credentials.of(self._settings)
        except SettingsError as error:
            logs.emit(logging.ERROR, "key for upstream not reloaded", reason=str(error))
            return
        changed, self._credentials = credentials != self._credentials, credentials
        self._use(credentials)
        logs.emit(logging.INFO, "key for upstream reloaded", changed=changed)


def check(settings: ServerSettings) -> None:
    """Read the files, and find the packages and folders, that the settings need, as a server does when it starts.

    :raises SettingsError: one line for each that cannot be used.
    """
    lines: list[str] = []
    for load in (listener_context, upstream_context, Credentials.of, check_packages, find_folder):
        try:
            load(settings)
        except SettingsError as error:
            lines += error.lines
    if lines:
        raise SettingsError(lines)


def _signature(file: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written again, or a link leads to another one; None if there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
