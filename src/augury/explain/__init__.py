"""Explains what an augmentation did: statistics, measurements, reports."""
