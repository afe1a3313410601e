"""Closed vocabularies: one plain word for one thing, the same in code, topics, tables and metrics."""

from __future__ import annotations

from enum import StrEnum


class Channel(StrEnum):
    """Where the customer met us; the mode (digital or human) follows from it."""

    WEB = "web"
    APP = "app"
    STORE = "store"
    CALL = "call"
    EMAIL = "email"
    CHAT = "chat"
    SURVEY = "survey"
    REVIEW = "review"
    SOCIAL = "social"


class Mode(StrEnum):
    """Whether a person of ours took part."""

    DIGITAL = "digital"
    HUMAN = "human"


#: Mode of each channel; chat counts as human, since a bot hands over to people.
MODE_OF: dict[Channel, Mode] = {
    Channel.WEB: Mode.DIGITAL,
    Channel.APP: Mode.DIGITAL,
    Channel.STORE: Mode.HUMAN,
    Channel.CALL: Mode.HUMAN,
    Channel.EMAIL: Mode.DIGITAL,
    Channel.CHAT: Mode.HUMAN,
    Channel.SURVEY: Mode.DIGITAL,
    Channel.REVIEW: Mode.DIGITAL,
    Channel.SOCIAL: Mode.DIGITAL,
}


class Outcome(StrEnum):
    """How a touchpoint ended, as far as the producer knows."""

    OK = "ok"
    FAIL = "fail"
    ABANDON = "abandon"


class Source(StrEnum):
    """What kind of feedback it is (capability C3)."""

    SURVEY = "survey"
    REVIEW = "review"
    SOCIAL = "social"
    CALL = "call"
    CHAT = "chat"
    EMAIL = "email"
    TEXT = "text"


class Metric(StrEnum):
    """What an answer measures. `volume` and `sentiment` are derived: counts of touchpoints, labels of texts."""

    NPS = "nps"
    CSAT = "csat"
    CES = "ces"
    RATING = "rating"
    SENTIMENT_ONLY = "sentiment_only"


class Sentiment(StrEnum):
    """Label of a text; a text in an unknown language is `unscored`, never neutral."""

    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    POSITIVE = "positive"
    UNSCORED = "unscored"


class Disposition(StrEnum):
    """What became of one Kafka offset: exactly one of these."""

    AGGREGATED = "aggregated"
    LATE = "late"
    DUPLICATE = "duplicate"
    DEAD_LETTER = "dead_letter"
    IGNORED = "ignored"


class Stage(StrEnum):
    """Where in the flow an event was rejected."""

    DECODE = "decode"
    VALIDATE = "validate"
    ACCEPT = "accept"
    ENRICH = "enrich"
    LABEL = "label"
    RECORD = "record"


class Reason(StrEnum):
    """Why an offset is not simply aggregated. Dead letters first, then the other dispositions."""

    # dead_letter, found while decoding
    NOT_JSON = "not_json"
    NOT_UTF8 = "not_utf8"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    TOO_MANY_KEYS = "too_many_keys"
    TOO_LONG = "too_long"
    BAD_ENVELOPE = "bad_envelope"
    UNKNOWN_VERSION = "unknown_version"
    # dead_letter, found while validating
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_VALUE = "unknown_value"
    OUT_OF_RANGE = "out_of_range"
    BAD_SCALE = "bad_scale"
    # dead_letter, found while accepting
    BAD_TIME = "bad_time"
    WRONG_KEY_FORM = "wrong_key_form"
    # refused by the gateway before there is an offset
    OUT_OF_SCOPE = "out_of_scope"
    UNKNOWN_FIELD = "unknown_field"
    # dead_letter, found later
    STEP_FAILED = "step_failed"
    REFUSED_BY_SINK = "refused_by_sink"
    CRASH_LOOP = "crash_loop"
    # aggregated, but not in its minute's first closing
    DELAYED = "delayed"
    REVISED = "revised"
    RESTATED = "restated"
    # why a row was rewritten later; never the reason of a row itself
    RELABELLED = "relabelled"
    MERGED = "merged"
    ERASED = "erased"
    # late
    BEYOND_LATENESS = "beyond_lateness"
    # duplicate
    SAME_EVENT = "same_event"
    CONFLICT = "conflict"
    # ignored
    SUPERSEDED = "superseded"
    TOMBSTONE = "tombstone"
    # gaps
    RETENTION = "retention"
    MARKERS = "markers"


class Tier(StrEnum):
    """Which model labelled a text; part of the scale of sentiment."""

    MINILM = "minilm"
    STATIC = "static"
    FALLBACK = "fallback"
    ACCURATE = "accurate"
    NONE = "none"
