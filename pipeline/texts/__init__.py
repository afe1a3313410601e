"""What label knows: the language of a text, the models and their tiers, the child process, the cache of repeats."""
