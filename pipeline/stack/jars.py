"""Kafka's jars [I/O]: the versions and checksums of kafka.lock.toml, fetched once, checked at every start.

jgo resolves and downloads from Maven Central; nothing of it checks a jar in the cache later, so that is done here.
`python -m pipeline.stack.jars` writes the lock file anew after a change of KAFKA or LOGGING.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import StackError

KAFKA = "4.3.1"
#: The version of log4j-core that Kafka brings; without this binding there are no logs at all.
LOGGING = "2.25.4"
#: With `!` jgo takes each artifact's own versions, as Maven does; without it ten jars are wrong ones.
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA}!",
    f"org.apache.kafka:kafka-clients:{KAFKA}!",
    f"org.apache.kafka:kafka-server:{KAFKA}!",
    f"org.apache.logging.log4j:log4j-slf4j-impl:{LOGGING}!",
)
LOCK = Path(__file__).with_name("kafka.lock.toml")
#: Downloads at the same time: the 46 jars are small, the waiting is in the round trips.
_AT_ONCE = 8

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked jar."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def path(self) -> Path:
        """Its place in a Maven repository."""
        return Path(*self.group.split("."), self.artifact, self.version, f"{self.artifact}-{self.version}.jar")


def locked(lock: Path = LOCK) -> list[Jar]:
    """The jars of the lock file. StackError when an entry has no checksum."""
    entries = tomllib.loads(lock.read_text("utf-8")).get("dependencies", [])
    if not entries or any("sha256" not in entry for entry in entries):
        raise StackError(f"{lock} names no jars, or one without a checksum: restore it from the repository")
    return [Jar(e["groupId"], e["artifactId"], e["version"], e["sha256"]) for e in entries]


def class_path(note: Note, repository: Path | None = None, lock: Path = LOCK) -> list[Path]:
    """Paths of all jars, missing ones downloaded first. StackError when one differs from its checksum."""
    jars = locked(lock)
    repository = repository or _default_repository()
    missing = [jar for jar in jars if not (repository / jar.path).exists()]
    if missing:
        note(f"Kafka {KAFKA}: downloading {len(missing)} jars, about {len(missing)} MB, once")
        _download(missing, repository)
        note("Kafka: jars are here")
    for jar in jars:
        _verify(jar, repository / jar.path)
    return [repository / jar.path for jar in jars]


def _verify(jar: Jar, path: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != jar.sha256:
        raise StackError(
            f"{path} is not the {jar.artifact} {jar.version} of the lock file (sha256 {found[:16]}..., "
            f"expected {jar.sha256[:16]}...): it was changed or cut off; `rm {path}` and run the command again"
        )


def _default_repository() -> Path:
    from jgo.config import GlobalSettings

    return Path(GlobalSettings.load().repo_cache)


def _download(jars: list[Jar], repository: Path) -> None:
    """Fetch into a folder beside and move each jar over when it is whole: a kill leaves no half jar."""
    from jgo.config import GlobalSettings
    from jgo.maven import MavenContext

    logging.getLogger("jgo").setLevel(logging.WARNING)
    repository.mkdir(parents=True, exist_ok=True)
    mirrors = dict(GlobalSettings.load().repositories)
    with tempfile.TemporaryDirectory(prefix=".touchline-", dir=repository) as fresh:
        context = MavenContext(repo_cache=Path(fresh), local_repos=[], timeout=60)
        context.remote_repos = mirrors | context.remote_repos

        def fetch(jar: Jar) -> None:
            component = context.project(jar.group, jar.artifact).at_version(jar.version)
            got = Path(component.artifact().resolve())
            _verify(jar, got)
            (repository / jar.path).parent.mkdir(parents=True, exist_ok=True)
            got.replace(repository / jar.path)

        try:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(fetch, jars))
        except (OSError, RuntimeError) as error:
            raise StackError(
                f"Kafka's jars could not be downloaded ({error}); the network is needed once. "
                "Or use a Kafka that is there: TOUCHLINE_BOOTSTRAP_SERVERS=host:9092"
            ) from error


def relock(lock: Path = LOCK) -> int:
    """Resolve COORDINATES anew and write the lock file. Returns the number of jars."""
    from jgo.env import EnvironmentBuilder, LockFile
    from jgo.maven import MavenContext
    from jgo.parse import Endpoint

    context = MavenContext()
    builder = EnvironmentBuilder(context=context)
    wanted = builder._coordinates_to_dependencies(Endpoint.parse("+".join(COORDINATES)).coordinates)
    inputs, transitive = context.resolver.resolve(wanted)
    found = LockFile.from_resolved_dependencies(inputs + transitive, environment_name="kafka")
    found.save(lock)
    return len(found.dependencies)


if __name__ == "__main__":
    relock()
