"""Standard output: one JSON line for each incident of a notice, for logs and pipes (pure)."""

from __future__ import annotations

import orjson

from pipeline.alerts.entries import Notice
from pipeline.alerts.receivers.wording import gist
from pipeline.alerts.records import iso


def line(notice: Notice) -> str:
    """The lines, without the last line feed."""
    return "\n".join(
        orjson.dumps(
            {
                "alert": notice.state,
                "id": notice.id,
                "incident": account.id,
                "state": str(account.state),
                "severity": account.severity,
                "owner": account.owner,
                "at": iso(notice.at_ms),
                "summary": gist(account),
                "acked_by": account.acked_by,
                "level": account.level,
            }
        ).decode()
        for account in notice.accounts
    )
