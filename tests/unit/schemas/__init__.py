"""Unit tests of schemas/: the codec, its envelopes and limits, the generated documents."""
