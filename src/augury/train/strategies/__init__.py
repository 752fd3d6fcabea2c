"""Strategies: how a step's loss is made from views of a batch. One file each."""
