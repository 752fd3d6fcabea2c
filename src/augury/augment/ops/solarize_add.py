"""Solarize-add: brightens dark pixels."""

from augury.augment.forms.table import TableKind
from augury.augment.ops._lower import recipe
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "solarize_add", source="Tan and Le 2019 (EfficientNet, arXiv:1905.11946), released training code, policy v0")
def solarize_add() -> Op:
    """Adds `amount` to all pixels below 128, clipped to 255; the others are unchanged."""
    amount = Parameter(Uniform(0, 110), Interval(-255, 255), "grey levels")
    return Op("solarize_add", "table", recipe(TableKind.SOLARIZE_ADD, "amount"), {"amount": amount}, identity={"amount": 0.0})
