"""Networks: the papers' own for 32x32, torchvision's and timm's by name.

What every network here keeps to, so that strategies, saliency and measurements need to know none of them:

- `network(images)`: float [B,C,H,W], any size, to logits [B,classes].
- `network.head`: the final `nn.Linear`; what it is given are the features [B,D] of the penultimate layer.
- `network.taps`: names that `network.get_submodule` accepts, in the order of the forward pass ("stem", "stage1", ...).
  All that follows depends on the images through a tap's output alone, so a forward hook that replaces it (Manifold
  Mixup) replaces everything; and nothing overwrites that output in place, so a hook may keep it.
- Weights are drawn when the network is built, noise (dropout, Shake-Shake, ShakeDrop) in the forward pass of training
  mode, both from PyTorch's default generators, which the engine seeds and stores.

`build.build(name, classes=..., channels=...)` makes one by name.
"""
