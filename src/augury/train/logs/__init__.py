"""Experiment trackers that log a training while it runs."""
