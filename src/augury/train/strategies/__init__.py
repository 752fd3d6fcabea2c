"""Strategies: how the loss of a step is computed from views of a batch. One file each."""
