"""What follows a finished run: bundles, checks, comparisons, write-ups, exports. None of it changes a run."""
