"""Image files to arrays: what a file shows is said once for each format."""
