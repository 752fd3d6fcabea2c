"""How many fresh pages a process has to map where it frees and asks for the same large arrays."""

import resource

import numpy as np


def faults_of_a_step() -> int:
    """Page faults of ten rounds of two arrays of 4 MB each (2,000 pages a round), after one that maps them."""

    def work() -> int:
        one, two = np.ones(1 << 22, np.uint8), np.ones(1 << 22, np.uint8)
        return int(one[0] + two[0])

    work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
