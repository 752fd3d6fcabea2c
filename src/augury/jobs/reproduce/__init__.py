"""Reproducing the tables of the papers."""
