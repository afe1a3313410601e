"""Limits of one event (security requirement S4): what a hostile producer cannot exceed."""

#: A value larger than this is rejected unread; CloudEvents asks receivers to take 64 KiB.
MAX_VALUE_BYTES = 256 * 1024
#: Nesting of JSON. Our records need 2, a CloudEvents envelope 3; more is an attack on recursion.
MAX_DEPTH = 16
#: Keys in one event, all levels together.
MAX_KEYS = 64
#: Characters of one string. A longer one is refused, but for the text of a feedback: of that so many are kept.
MAX_TEXT = 10_000
#: Characters of an identifier or a dimension value.
MAX_NAME = 200
#: Steps of a scale; an answer histogram has this many bins at most.
MAX_BINS = 11
