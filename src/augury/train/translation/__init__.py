"""Translation between subgroups: CycleGANs, their training, and the translation of a data set."""
