"""Data sets: one file per form that DATA may have, and what they share (decoding, splits, refusals)."""
