"""How good a distilled dataset is."""
