"""Stages, the steps of a pipeline, which draw for every image of a batch and then apply what was drawn."""
