"""The seven forms every operation lowers to, and the back ends that execute them.

A form runs once for the whole batch, however many different operations the batch holds. Each module has the form's
record (one row per image) and its reference execution in plain PyTorch.
"""
