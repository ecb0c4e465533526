"""Sample data."""


def draw_sample(root, count, seed, track):
    """TBD"""
