"""One file per command, which combines data, augmentation, training and reports. Printing is left to the command line."""
