"""The papers' arguments about augmentation, checked by small experiments.

`chain`, `kernels`, `expansion` and `ridge` have closed forms and estimators; each experiment is a file that registers it.
"""
