"""Experiment trackers that are told of a training while it runs."""
