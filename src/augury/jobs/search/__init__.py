"""Searching augmentation policies, with random search at equal budget."""
