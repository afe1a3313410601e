"""What accept knows: time rules, duplicates, revisions, rejection."""
