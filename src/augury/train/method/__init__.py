"""A method: augmentation, strategy and networks bound into one object that any loop can call."""
