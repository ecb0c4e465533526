"""The ladder: cheap trials, promotion of the best, and the evidence whether cheap trials told the truth."""
