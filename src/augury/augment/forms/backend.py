"""Backend: the functions a back end must provide to execute lowered records. All back ends give the same bits."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from augury.augment.forms.lowered import Lowered
from augury.augment.forms.neighbourhood import Neighbourhood


class Backend(Protocol):
    """The functions that touch pixels. `augury.augment.forms.plain` is the reference and runs on every device."""

    def pixels(self, images: Tensor, lowered: Lowered, size: Tensor) -> Tensor:
        """Warp, table and blend of every slot in turn, on uint8 [B,C,H,W]; returns new images."""
        ...

    def regions(self, images: Tensor, lowered: Lowered, box: Tensor, partner: Tensor, out: Tensor | None = None) -> Tensor:
        """The first slot's boxes (int64 [B,4]) filled, on uint8 or float images; partner: int64 [B], the rows read from.

        out: contiguous, receives the result; it may be `images` if no region reads another image.
        """
        ...

    def mixed(self, images: Tensor, others: Tensor, partner: Tensor, weight: Tensor) -> Tensor:
        """images mixed with rows `partner` (int64 [B]) of `others`, the weight of the own one `weight` (float32 [B])."""
        ...

    def hue(self, images: Tensor, levels: Tensor) -> Tensor:
        """Hues turned by `levels` (int64 [n]) of 256, on uint8 [n,3,H,W]."""
        ...

    def weighted(self, images: Tensor, position: Tensor, weight: Tensor, dim: int) -> Tensor:
        """Sums along `dim` (2 or 3) of uint8 [n,C,H,W]; position int64 and weight float64 [n,length,taps]."""
        ...

    def cut(self, images: Tensor, rows: Tensor, box: Tensor, side: int) -> Tensor:
        """uint8 [n,C,side,side]: the boxes (int64 [n,4]) of the images in `rows` (int64 [n]), in the top left corner."""
        ...

    def paste(self, images: Tensor, pieces: Tensor, corner: Tensor, size: Tensor, on: Tensor, order: Tensor) -> Tensor:
        """images with their pieces [B,k,C,P,P] over them: the first `size` rows and columns at `corner` (both int64
        [B,k,2]), where `on` (bool [B,k]), one after another in `order` (int64 [B,k])."""
        ...

    def displaced(self, images: Tensor, row: Tensor, column: Tensor, size: Tensor) -> Tensor:
        """uint8 [n,C,H,W] read bilinearly at row, column (float64 [n,H,W]); what lies outside the valid size stays."""
        ...

    def smooth_field(self, key: Tensor, weights: Sequence[float], height: int, width: int) -> Tensor:
        """float64 [n,2,H,W]: noise in [-1, 1) of each key (int64 [n]), summed by `weights` over neighbours in both directions."""
        ...

    def extreme(self, images: Tensor, width: Tensor, size: Tensor, around: Neighbourhood) -> Tensor:
        """uint8 [n,C,H,W]: the brightest or darkest pixel of neighbourhoods `width` (int64 [n]) pixels wide."""
        ...
