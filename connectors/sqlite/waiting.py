"""How many events wait for the answer to a query: the size of its group, for the card it is shown on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence


def waiting_for(connection: sqlite3.Connection, event_ids: Sequence[str]) -> dict[str, int]:
    """Return how many events wait for the answer to each of these; those for which none does are left out."""
    rows = connection.execute(
        "SELECT representative, count(*) FROM members WHERE status = 'waiting' "
        "AND representative IN (SELECT value FROM json_each(?)) GROUP BY representative",
        (json.dumps(list(event_ids)),),
    )
    return dict(rows.fetchall())
