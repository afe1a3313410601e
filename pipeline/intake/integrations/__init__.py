"""Formats of the tools that companies use: one module each, found by its `INTEGRATION`. Pure.

To add one: a module here, a folder of its name under `fixtures/`, a section of docs/integrations.md. Nothing else knows
the list; tests/contract/test_integrations.py finds the module and asks for the other two, and for a signature made by
other code than ours where the tool signs. `python -m pipeline.intake.openapi` writes its name into the document.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from pipeline.intake.integrations.contract import Integration


@cache
def integrations() -> dict[str, Integration]:
    """Every integration by its name, which is the word in its URL."""
    modules = (import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__))
    found = (module.INTEGRATION for module in modules if hasattr(module, "INTEGRATION"))
    return {integration.name: integration for integration in found}
