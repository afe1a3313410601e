"""The words of Touchline: one file a record, the closed vocabularies, the topic table, the codec."""
