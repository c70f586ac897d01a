"""Connectors: stream_al's protocols (`stream_al.ports`) for the systems outside, one module each.

A connector imports the core and never another connector; the core imports none of them.
"""
