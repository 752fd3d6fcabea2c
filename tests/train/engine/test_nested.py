"""Nested state: what goes into a checkpoint comes out of it."""

import json

import torch

from augury.train.engine.nested import flatten_state, unflatten_state


def test_nested_state_comes_back_through_json() -> None:
    # Catches integer keys turned into texts and tensors of one name for two.
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = {"optimizer": optimizer.state_dict(), "rows": [[1, 2], None], "deep": {"a": {"b": torch.arange(3)}}}
    tensors: dict[str, torch.Tensor] = {}
    again = unflatten_state(json.loads(json.dumps(flatten_state(state, "strategy", tensors))), tensors)
    assert again["rows"] == [[1, 2], None] and again["deep"]["a"]["b"].equal(torch.arange(3))
    other = torch.optim.Adam(module.parameters())
    other.load_state_dict(again["optimizer"])
    for one, two in zip(optimizer.state_dict()["state"].values(), other.state_dict()["state"].values(), strict=True):
        assert all(torch.equal(one[key], two[key]) for key in one)
    assert len(tensors) == 1 + 3 * 2
