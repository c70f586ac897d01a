"""TLS towards the brokers."""

from __future__ import annotations

import ssl
from pathlib import Path

from stream_al.config import KafkaConfig
from stream_al.errors import ConfigError


def tls_context(config: KafkaConfig) -> ssl.SSLContext:
    """Return what a TLS connection is made with; files are read now, so that a mistake in them is told now.

    Raises
    ------
    ConfigError
        Naming the file that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = config.check_hostname
    if config.ca_file is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(_existing("ca_file", config.ca_file))
        except (ssl.SSLError, OSError) as error:
            raise ConfigError(
                f"[kafka] ca_file = '{config.ca_file}': holds no certificates in PEM format ({_why(error)})"
            ) from None
    if config.cert_file is not None and config.key_file is not None:
        password = config.key_password
        secret = "" if password is None else password.get_secret_value()
        certificate, key = _existing("cert_file", config.cert_file), _existing("key_file", config.key_file)
        try:
            # Never None: OpenSSL would ask for the password on the terminal, and wait.
            context.load_cert_chain(certificate, key, secret)
        except (ssl.SSLError, OSError, ValueError) as error:
            raise ConfigError(
                f"[kafka] cert_file = '{certificate}', key_file = '{key}': not a certificate and its key in PEM "
                f"format, or key_password is not the key's ({_why(error)})"
            ) from None
    return context


def _existing(key: str, path: Path) -> Path:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ConfigError(f"[kafka] {key} = '{path}': {error.strerror}") from None
    return path


def _why(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
