"""What happens to an event, in order: the verbs stand in the order of the alphabet, which is the order of the flow."""

from __future__ import annotations

from pipeline import memory

memory.patient()  # here, because a worker loads this before all that is large

FLOW = ("accept", "enrich", "label", "record", "score", "warn")
