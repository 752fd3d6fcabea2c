"""Trains models: data, networks, strategies and the training engine."""
