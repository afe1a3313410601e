"""What happens to an event, in order: the verbs stand in the order of the alphabet, which is the order of the flow."""

from __future__ import annotations

from pipeline import memory

# Here, since this module is loaded before any that loads polars.
memory.prepare()

FLOW = ("accept", "enrich", "label", "record", "score", "warn")
