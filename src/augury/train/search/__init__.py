"""Searches for a policy: spaces, searchers, child trainings, and their distribution over processes and machines."""
