"""`augury recommend`: which augmentation for the user's own images, within a time."""
