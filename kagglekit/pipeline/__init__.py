"""One run from a data folder to a scored submission: prepare, train, evaluate, submit, record."""
