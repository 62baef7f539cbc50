"""The search for a better recipe: what is tried, how far, and what came out."""
