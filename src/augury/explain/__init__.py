"""Explains the effect of an augmentation: statistics, measurements, reports."""
