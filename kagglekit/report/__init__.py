"""Self-contained HTML pages about runs: pictures and curves inline, nothing fetched from elsewhere."""
