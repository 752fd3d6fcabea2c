"""How the draws for one image relate across epochs. A separate module, so that settings do not import PyTorch."""

from typing import Literal

Draws = Literal["independent", "stratified"]
