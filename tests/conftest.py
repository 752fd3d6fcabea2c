"""What holds for all tests."""

from hypothesis import settings

# How long an example takes says more about the machine than about the code; benchmarks measure.
settings.register_profile("augury", deadline=None)
settings.load_profile("augury")
