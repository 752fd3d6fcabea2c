"""Throughput of augmentation, compared with other libraries in the same run."""
