"""What holds for all tests."""

import os

from hypothesis import Phase, settings

# How long an example takes says more about the machine than about the code; benchmarks measure.
settings.register_profile("augury", deadline=None)
settings.load_profile("augury")
# A mutant has to fail, not to fail in the shortest way.
settings.register_profile(
    "mutants", deadline=None, max_examples=30, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate]
)

# Several processes test at the same time, and figures that tests compare are those of one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Kernels are compiled where they are needed, not beside: a test is to run what it names.
os.environ.setdefault("AUGURY_COMPILE", "now")
# Figures that tests compare are those of float32 on every processor.
os.environ.setdefault("AUGURY_PRECISION", "float32")

# Nothing of a test stays behind in the user's cache of decoded images.
os.environ["AUGURY_CACHE"] = "off"
