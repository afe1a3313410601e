"""Kafka's jars into the Maven cache, once [I/O]. The Makefile calls it: demo and tests then work offline."""

from __future__ import annotations

import sys

from pipeline.command.output import note
from pipeline.errors import TouchlineError
from pipeline.stack.jars import class_path

try:
    class_path(note)
except TouchlineError as error:
    sys.exit(f"setup: {error}")
