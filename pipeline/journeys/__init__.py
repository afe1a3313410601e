"""What is known of customers' ways: paths, waits, drivers, outcomes, evenness, what one of them lived through."""
