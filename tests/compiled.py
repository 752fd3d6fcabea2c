"""What tests of PyTorch's compiler need."""

import re

import pytest
import torch

_VERSION = tuple(map(int, re.findall(r"\d+", torch.__version__)[:2]))
whole_graphs = pytest.mark.skipif(_VERSION < (2, 9), reason="PyTorch before 2.9 does not compile a pipeline into one graph")
