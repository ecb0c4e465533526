"""A finished run as a page that others can read, publish and check; every number in it comes from the record."""
