"""A refusal: too little is known to say it, and how much would do. Pure.

Every statistic of this room gives its result or a `Refusal`, never a number that nobody should read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Answers that relative weights need; under it their ranks are mostly noise.
ENOUGH_FOR_WEIGHTS = 50
#: Outcomes (customers who left) that a predictor needs: the usual ten events per predictor.
ENOUGH_OUTCOMES = 10


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no number: in words, with what there was (`n`) and what is needed; 0 when no number would help."""

    reason: str
    n: int
    needed: int = 0

    def document(self) -> dict[str, Any]:
        """As commands and the API show it."""
        return {"status": "insufficient", "reason": self.reason, "n": self.n, "needed": self.needed}
