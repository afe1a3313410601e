"""Definitions of scores as people and programs read them (pure)."""

from __future__ import annotations

from typing import Any

from pipeline.scores.definitions import Boxes, Definition, Definitions
from pipeline.scores.meters import bounds


def definition_lines(known: Definitions) -> list[str]:
    """Three lines a definition: its name, what it means, how each scale is read."""
    lines = []
    for each in known.every:
        leads = "" if known.leading[each.id] is not each else ", in force"
        lines.append(
            f"{each.name}{leads}: {each.form} of {each.metric} in {each.unit}; interval {each.method},"
            f" weighting {each.weighting}, from n = {each.minimum_n}"
        )
        if each.about:
            lines.append(f"    {each.about}")
        lines += [f"    {_scale(each, scale, boxes)}" for scale, boxes in each.scales.items()]
    return lines


def definitions_document(known: Definitions) -> list[dict[str, Any]]:
    """The same for `--json`."""
    return [
        {
            "id": each.id,
            "version": each.version,
            "in_force": known.leading[each.id] is each,
            "about": each.about,
            "metric": each.metric,
            "form": each.form,
            "unit": each.unit,
            "interval": each.method,
            "weighting": each.weighting,
            "minimum_n": each.minimum_n,
            "scales": {
                scale: {"top": _answers(each, scale, boxes.top), "bottom": _answers(each, scale, boxes.bottom)}
                | {"better": boxes.better}
                for scale, boxes in each.scales.items()
            },
        }
        for each in known.every
    ]


def _scale(definition: Definition, scale: str, boxes: Boxes) -> str:
    parts = [f"scale {scale}"]
    for side, bins in (("top", boxes.top), ("bottom", boxes.bottom)):
        if bins:
            parts.append(f"{side} {', '.join(map(str, _answers(definition, scale, bins)))}")
    if boxes.better == "lower":
        parts.append("lower is better")
    return "; ".join(parts)


def _answers(definition: Definition, scale: str, bins: tuple[int, ...]) -> list[int]:
    lowest = -1 if definition.metric == "sentiment" else bounds(scale)[0]
    return [lowest + place for place in bins]
