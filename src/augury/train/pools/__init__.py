"""Where trainings run: in this process, in several, one to a GPU, or on a Ray cluster."""
