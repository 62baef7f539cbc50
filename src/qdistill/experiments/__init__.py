"""Recipes, and the one way to run them."""
