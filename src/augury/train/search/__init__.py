"""Searching for a policy: spaces, searchers, child trainings, and how they are spread over processes and machines."""
