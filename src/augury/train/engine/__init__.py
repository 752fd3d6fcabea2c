"""The training engine: settings, the loop, schedules, checkpoints, evaluation."""
