"""Data sets: one module per format of DATA, and the code that they share (decoding, splits, checks)."""
