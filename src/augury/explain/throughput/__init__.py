"""How fast augmentation runs, beside other libraries in the same run."""
