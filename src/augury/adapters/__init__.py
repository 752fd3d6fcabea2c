"""Thin adapters that let other libraries' loops and data sets use methods and pipelines."""
