"""The papers' arguments about augmentation as small checked experiments.

`chain`, `kernels`, `expansion` and `ridge` hold closed forms and estimators; an experiment is a file that registers one.
"""
