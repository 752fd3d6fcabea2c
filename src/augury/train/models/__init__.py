"""Networks: those of the papers for 32x32 images, and torchvision's and timm's by name.

Every network here has the same interface, so that strategies, saliency and measurements work with any of them:

- `network(images)`: float [B,C,H,W], any size, to logits [B,classes].
- `network.head`: the final `nn.Linear`; its input is the features [B,D] of the penultimate layer.
- `network.taps`: names that `network.get_submodule` accepts, in the order of the forward pass ("stem", "stage1", ...).
  Later layers depend on the images only through a tap's output, so a forward hook that replaces this output (Manifold
  Mixup) affects all of them; the output is never overwritten in place, so a hook may keep it.
- Weights are drawn when the network is built, and noise (dropout, Shake-Shake, ShakeDrop) in the forward pass in
  training mode; both come from PyTorch's default generators, which the engine seeds and whose state it saves.

`build.build(name, classes=..., channels=...)` builds a network by name.
"""
