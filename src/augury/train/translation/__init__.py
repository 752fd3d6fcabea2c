"""Translation between subgroups: CycleGANs, their training, and what they make of a data set."""
