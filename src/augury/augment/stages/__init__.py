"""What a pipeline is made of: stages, which draw for every image of a batch and then apply what was drawn."""
