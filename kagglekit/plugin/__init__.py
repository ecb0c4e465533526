"""Plugins: how they are found, what they are asked (hooks), and the solution that a recipe makes of them."""
