"""Every exception Touchline raises, one sentence each.

An event meets one of three fates: rejected with a reason (a value, not an exception), retried (`Unavailable`),
or the process stops (everything else).
"""


class TouchlineError(Exception):
    """Base of all: its text says what, where, and the command that fixes it."""


class SettingsError(TouchlineError):
    """One or more settings are missing or contradict each other; the text lists all of them."""


class Unavailable(TouchlineError):
    """A part (Kafka, ClickHouse) did not answer; the same call may go through later, so retry with back-off."""


class RefusedRows(TouchlineError):
    """ClickHouse refused rows because of their data; a retry of the same rows can never succeed, so bisect."""


class NotReady(TouchlineError):
    """Topics or tables are missing or wrong; the text names the command that puts them right."""


class Stuck(TouchlineError):
    """Records wait, Kafka and ClickHouse answer, and nothing moves: the fault is ours."""


class TopicRecreated(TouchlineError):
    """The ledger's position lies beyond the end of the topic: the topic was deleted and made again."""


class StackError(TouchlineError):
    """The embedded stack could not be started or stopped; the text names the log to read."""


class DifferenceFound(TouchlineError):
    """A check (audit, diff, drift) found that two things which must agree do not."""


class UsageError(TouchlineError):
    """The caller asked for something that makes no sense; the text says what would."""
