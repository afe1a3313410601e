"""What score knows: meters, windows, cuts, frontiers, changes."""
