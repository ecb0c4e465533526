"""Run folders, their identity, locks and the ledger that indexes them."""
