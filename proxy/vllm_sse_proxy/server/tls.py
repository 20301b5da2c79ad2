"""TLS on both sides: the data port's own certificate, and which upstream certificates are trusted.

The defaults are Python's, which follow OpenSSL's: TLS 1.2 or newer, strong ciphers, host names checked. No setting switches
the verification of upstream off: a private authority is given by ``upstream_ca_file`` instead.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from vllm_sse_proxy.config import SettingsError

if TYPE_CHECKING:
    from vllm_sse_proxy.config import ServerSettings


def listener_context(settings: ServerSettings) -> ssl.SSLContext | None:
    """Return the TLS context of the data port; None for plain HTTP.

    :raises SettingsError: the certificate or the key cannot be used.
    """
    if settings.tls_cert_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without a password callback OpenSSL would ask on the terminal.
        context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file, password=_no_password)
    except (OSError, ValueError) as error:
        raise SettingsError([f"tls_cert_file, tls_key_file: {_reason(error)}"]) from None
    return context


def upstream_context(settings: ServerSettings) -> ssl.SSLContext | None:
    """Return the TLS context that verifies upstream; None if upstream's URL is not https.

    :raises SettingsError: the file of authorities cannot be used.
    """
    if not settings.upstream.startswith("https://"):
        return None
    try:
        return ssl.create_default_context(cafile=settings.upstream_ca_file)
    except OSError as error:
        raise SettingsError([f"upstream_ca_file: {_reason(error)}"]) from None


def _no_password() -> str:
    raise ValueError("the key is encrypted, and the proxy cannot ask anybody for its password")


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"not usable as PEM: {error.reason or error}"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
