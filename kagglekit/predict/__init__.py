"""From checkpoints to a scored submission: views, members, post-processing, rows."""
