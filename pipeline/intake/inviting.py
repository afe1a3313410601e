"""Invitations to surveys [I/O]: may this customer be asked, and then it stands written that he was.

Two who ask at the same moment cannot both be told yes: each writes first and then looks, and stands back where it sees
another one (both may: then the next one who asks is told yes). The same invitation asked for again gets the same
answer, as long as what it rests on holds. Customers stand here under their pseudonym only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import polars as pl

from pipeline.clickhouse import ClickHouse
from pipeline.customers.contact import Choice, Decision, Policy, decide, wanted
from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.settings import Settings


class Asked(NamedTuple):
    """What is asked: for whom, for which survey, under which name (the same name is the same invitation)."""

    customer_id: str
    survey: str
    invitation: str
    channel: str = ""
    brand: str = "default"


_INVITATIONS = {
    "customer": pl.UInt64,
    "key_id": pl.UInt8,
    "invitation": pl.String,
    "survey": pl.String,
    "channel": pl.String,
    "brand": pl.String,
    "asked_ms": pl.Int64,
    "allowed": pl.UInt8,
    "reason": pl.String,
    "bounced": pl.UInt8,
    "ver": pl.UInt64,
}


def _everywhere(_channel: str, _brand: str) -> bool:
    return True


class Invitations:
    """The policy of a deployment over its tables. Raises Unavailable."""

    def __init__(self, client: ClickHouse, settings: Settings, policy: Policy) -> None:
        self._client = client
        self._policy = policy
        self._pseudonyms = Pseudonyms(settings.pseudonym_key_id, settings.pseudonym_bytes)

    def ask(self, asked: Asked, now_ms: int, *, only_look: bool = False) -> Decision:
        """The decision, written down unless it was only looked at.

        Of an invitation that was asked for before, a yes holds until the customer chooses otherwise; a no holds as
        long as its reason, so that the same invitation may be sent once its `again_ms` has passed.
        """
        customer, key_id = self._who(asked.customer_id)
        rows = self._rows(customer, key_id)
        mine = next((row for row in rows if row["invitation"] == asked.invitation), None)
        if mine is not None and mine["allowed"]:
            return wanted(self._policy, self._choice(customer, key_id))
        decision = self._decided(customer, key_id, rows, now_ms)
        if only_look or (mine is not None and not decision.allowed):
            return decision
        self._write((customer, key_id), asked, now_ms, decision)
        if not decision.allowed:
            return decision
        # Whoever does not see our row here has read before we wrote: then we see theirs.
        others = [row for row in self._rows(customer, key_id) if row["invitation"] != asked.invitation]
        decision = self._decided(customer, key_id, others, now_ms)
        if not decision.allowed:
            self._write((customer, key_id), asked, now_ms, decision)
        return decision

    def choose(self, customer_id: str, choice: Choice, now_ms: int) -> None:
        """What a customer chose; the last choice holds."""
        customer, key_id = self._who(customer_id)
        row = {"customer": customer, "key_id": key_id, "kind": choice.value, "at_ms": now_ms}
        schema = {"customer": pl.UInt64, "key_id": pl.UInt8, "kind": pl.String, "at_ms": pl.Int64}
        self._client.insert("choices", pl.DataFrame([row], schema=schema))

    def bounced(self, customer_id: str, invitation: str, within: Callable[[str, str], bool] = _everywhere) -> bool:
        """The invitation did not arrive: it leaves the denominator, and the customer may be asked anew.

        False where there is none of that name `within` the channel and brand that whoever says so may speak for.
        """
        customer, key_id = self._who(customer_id)
        row = next((row for row in self._rows(customer, key_id) if row["invitation"] == invitation), None)
        if row is None or not within(row["channel"], row["brand"]):
            return False
        changed = row | {"bounced": 1, "ver": time.time_ns()}
        self._client.insert("invitations", pl.DataFrame([changed], schema=_INVITATIONS))
        return True

    def _decided(self, customer: int, key_id: int, rows: Sequence[dict[str, Any]], now_ms: int) -> Decision:
        invited = [row["asked_ms"] for row in rows if row["allowed"] and not row["bounced"]]
        return decide(self._policy, invited, self._choice(customer, key_id), now_ms)

    def _who(self, customer_id: str) -> tuple[int, int]:
        customer, key_id = self._pseudonyms.customers(pl.Series([customer_id], dtype=pl.String))
        return int(customer[0]), int(key_id[0])

    def _rows(self, customer: int, key_id: int) -> list[dict[str, Any]]:
        return self._client.query(
            f"SELECT {', '.join(_INVITATIONS)} FROM invitations FINAL"
            " WHERE customer = {customer:UInt64} AND key_id = {key:UInt8} ORDER BY asked_ms",
            {"customer": customer, "key": key_id},
        ).to_dicts()

    def _choice(self, customer: int, key_id: int) -> Choice | None:
        rows = self._client.query(
            "SELECT kind FROM choices FINAL WHERE customer = {customer:UInt64} AND key_id = {key:UInt8}",
            {"customer": customer, "key": key_id},
        )
        return Choice(rows["kind"][0]) if rows.height else None

    def _write(self, who: tuple[int, int], asked: Asked, now_ms: int, decision: Decision) -> None:
        told = (*who, asked.invitation, asked.survey, asked.channel, asked.brand, now_ms)
        row = (*told, int(decision.allowed), decision.reason, 0, time.time_ns())
        self._client.insert("invitations", pl.DataFrame([row], schema=_INVITATIONS, orient="row"))


def rates(client: ClickHouse, by: Sequence[str], since_ms: int, horizon_days: int, now_ms: int) -> list[dict[str, Any]]:
    """Invitations of each cohort (those sent since) and how many were answered within the horizon.

    A cohort is what was invited together, by survey, channel, brand or day; invitations younger than the horizon are
    left out, since their time is not over. An answer is the customer's first counted survey answer after the
    invitation, whatever question it is. Bounces are out of the denominator.
    """
    columns = {"day": "toString(toDate(fromUnixTimestamp64Milli(asked_ms, 'UTC')))"}
    names = [f"{columns.get(name, name)} AS {name}" for name in by]
    sql = f"""SELECT {", ".join([*names, ""])} toInt64(count()) AS invited,
    toInt64(countIf(answered_ms > 0 AND answered_ms <= asked_ms + {{horizon:Int64}})) AS answered
    FROM (
      SELECT invited.*, minIf(answers.occurred_ms, answers.occurred_ms >= invited.asked_ms) AS answered_ms
      FROM (SELECT customer, key_id, invitation, survey, channel, brand, asked_ms FROM invitations FINAL
            WHERE allowed AND NOT bounced AND asked_ms >= {{since:Int64}}
            AND asked_ms <= {{now:Int64}} - {{horizon:Int64}}) AS invited
      LEFT JOIN (SELECT customer, key_id, occurred_ms FROM ledger FINAL WHERE disposition = 'aggregated'
            AND source = 'survey' AND customer != 0 AND occurred_ms >= {{since:Int64}}) AS answers
      ON invited.customer = answers.customer AND invited.key_id = answers.key_id
      GROUP BY customer, key_id, invitation, survey, channel, brand, asked_ms
    ) {"GROUP BY " + ", ".join(by) if by else ""} ORDER BY invited DESC LIMIT 1000"""
    horizon = horizon_days * 86_400_000
    return client.query(sql, {"since": since_ms, "now": now_ms, "horizon": horizon}, long=True).to_dicts()
