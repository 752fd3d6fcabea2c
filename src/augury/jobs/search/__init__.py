"""Policy search, compared with random search at equal budget."""
