"""A certificate authority of the tests' own, by openssl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


class Authority:
    """Signs certificates for this machine; the test is skipped where there is no openssl."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("certificates are made with openssl, and there is none: apt-get install openssl")
        self.folder = folder
        self.ca = folder / "ca.pem"
        self._run("req", "-x509", *self._key("ca"), "-subj", "/CN=ca", "-days", "2", "-out", "ca.pem")

    def _run(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    def _key(self, name: str, password: str = "") -> list[str]:
        kept = ["-passout", f"pass:{password}"] if password else ["-nodes"]
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", f"{name}.key", *kept]

    def signed(self, name: str, password: str = "") -> tuple[Path, Path]:
        """Return a certificate for ``name`` and this machine, and its key."""
        (self.folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
        self._run("req", *self._key(name, password), "-subj", f"/CN={name}", "-out", f"{name}.csr")
        authority = (
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "names",
        )
        self._run("x509", "-req", "-in", f"{name}.csr", *authority, "-out", f"{name}.pem")
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"
