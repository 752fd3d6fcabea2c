"""None: no augmentation."""

from augury.core.options import Chain
from augury.core.registry import register


@register("preset", "none", source="the reference of every comparison")
def none() -> Chain:
    """No augmentation at all."""
    return Chain(())
