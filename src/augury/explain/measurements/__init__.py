"""Measurements of trained networks: one per file, found by its registered name.

A measurement is a function `measure(subjects, dataset, *, options...) -> Measured`, registered as "measurement".
`augury diagnose` looks it up, checks its options, calls it and shows what it returns.
"""
