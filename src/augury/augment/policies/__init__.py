"""Policies: which operations an image gets, and how strongly. One file each."""
