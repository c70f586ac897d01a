"""Pixels as a PNG in a ``data:`` address; the same bytes everywhere, as nothing is compressed."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_LESS, _MORE = np.array([0, 114, 178.0]), np.array([194, 80, 10.0])
"""Blue and vermilion, which colour-blind readers can tell apart (Okabe & Ito 2008)."""


def shades(values: Floats, low: float, high: float) -> str:
    """Return a picture of ink on paper: ``low`` is white, ``high`` nearly black."""
    share = np.clip((values - low) / ((high - low) or 1.0), 0.0, 1.0)
    return _address(255.0 - share[:, :, None] * np.array([235.0, 229.0, 219.0]))


def differences(change: Floats, most: float) -> str:
    """Return a picture of what changed: blue is less, vermilion more, white nothing."""
    share = np.clip(change / (most or 1.0), -1.0, 1.0)[:, :, None]
    colour = np.where(share < 0.0, _LESS, _MORE)
    return _address(255.0 + np.abs(share) * (colour - 255.0))


def _address(pixels: Floats) -> str:
    height, width, _ = pixels.shape
    lines = np.zeros((height, 1 + 3 * width), np.uint8)  # each line begins with its filter, none
    lines[:, 1:] = np.rint(pixels).astype(np.uint8).reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    found = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header)
    found += _chunk(b"IDAT", zlib.compress(lines.tobytes(), 0)) + _chunk(b"IEND", b"")
    return "data:image/png;base64," + b64encode(found).decode()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
