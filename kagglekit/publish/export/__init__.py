"""Runs for other people's dashboards: curves, scores, settings and costs, read from the folders of the runs."""
