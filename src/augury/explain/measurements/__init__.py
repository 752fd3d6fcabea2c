"""Measurements of trained networks, one per file, looked up by registered name.

A measurement is a function `measure(subjects, dataset, *, options...) -> Measured`, registered as "measurement".
`augury diagnose` looks it up, checks its options, calls it and displays its result.
"""
