"""What a competition's data look like, before any training: facts, each a small function of what was looked at."""
