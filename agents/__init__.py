"""What happens to an event, in order: the verbs stand in the order of the alphabet, which is the order of the flow."""

from __future__ import annotations

FLOW = ("accept", "enrich", "label", "record", "score", "warn")
