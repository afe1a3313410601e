"""What record knows: the writer, fences, positions, audit, rebuild."""
