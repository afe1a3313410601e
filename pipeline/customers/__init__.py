"""What enrich knows: pseudonyms, profiles, units, the touchpoint registry, masking."""
