"""One file per command's work: data, augmentation, training and reports put together. Printing is the CLI's."""
