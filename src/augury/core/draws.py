"""How draws of one image follow one another over the epochs; a module of its own, so that settings need no PyTorch."""

from typing import Literal

Draws = Literal["independent", "stratified"]
