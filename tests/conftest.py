"""What holds for all tests."""

import os

from hypothesis import settings

# How long an example takes says more about the machine than about the code; benchmarks measure.
settings.register_profile("augury", deadline=None)
settings.load_profile("augury")

# Kernels are compiled where they are needed, not beside: a test is to run what it names.
os.environ.setdefault("AUGURY_COMPILE", "now")
