"""Augmentations as code of other libraries, which runs without Augury."""
