"""Pools that run trainings: in this process, in several, one per GPU, or on a Ray cluster."""
