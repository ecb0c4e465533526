"""Self-contained HTML pages about runs: images and curves inline, nothing fetched from elsewhere."""
