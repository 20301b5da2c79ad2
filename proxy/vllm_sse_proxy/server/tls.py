"""TLS on both sides: the data port's own certificate, and which upstream certificates are trusted.

The defaults are Python's, which follow OpenSSL's: TLS 1.2 or newer, strong ciphers, host names checked. No setting switches
the verification of upstream off: a private authority is given by ``upstream_ca_file`` instead.
"""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from vllm_sse_proxy.settings import SettingsError

if TYPE_CHECKING:
    from vllm_sse_proxy.settings import ServerSettings


def listener_context(settings: ServerSettings) -> ssl.SSLContext | None:
    """Return the TLS context of the data port; None for plain HTTP.

    :raises SettingsError: the certificate or the key cannot be used.
    """
    if settings.tls_cert_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    _load(context, settings.tls_cert_file, settings.tls_key_file)
    return context


def reload_certificate(context: ssl.SSLContext, settings: ServerSettings) -> str:
    """Read the certificate and the key again, for the connections that are made from now on; return its fingerprint.

    :raises SettingsError: one of them cannot be used; then the context is as it was.
    """
    if settings.tls_cert_file is not None:
        _load(
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), settings.tls_cert_file, settings.tls_key_file
        )
        _load(context, settings.tls_cert_file, settings.tls_key_file)
    return fingerprint_of(settings)


def fingerprint_of(settings: ServerSettings) -> str:
    """Return the SHA-256 of the data port's certificate file, in hexadecimal digits; "" without one."""
    if settings.tls_cert_file is None:
        return ""
    return hashlib.sha256(Path(settings.tls_cert_file).read_bytes()).hexdigest()


def _load(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    for name, path in ("tls_cert_file", certificate), ("tls_key_file", key):
        if path is not None:
            _check_readable(name, path)
    try:
        # Without a password callback OpenSSL would ask on the terminal.
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:
        raise SettingsError([f"tls_cert_file, tls_key_file: {_reason(error)}"]) from None


def upstream_context(settings: ServerSettings) -> ssl.SSLContext | None:
    """Return the TLS context that verifies upstream; None if upstream's URL is not https.

    :raises SettingsError: the file of authorities cannot be used.
    """
    if not settings.upstream.startswith("https://"):
        return None
    try:
        return ssl.create_default_context(cafile=settings.upstream_ca_file)
    except OSError as error:
        raise SettingsError([f"upstream_ca_file: {settings.upstream_ca_file}: {_reason(error)}"]) from None


def _check_readable(name: str, path: str) -> None:
    """Open a file: OpenSSL's errors do not say which one they are about.

    :param name: the setting that names it.
    :raises SettingsError: it cannot be read.
    """
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise SettingsError([f"{name}: {path}: {error.strerror or error}"]) from None


def _no_password() -> str:
    raise ValueError("the key is encrypted, and the proxy cannot ask anybody for its password")


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"not usable as PEM: {error.reason or error}"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
