"""What happens to models: data, networks, strategies and the training engine."""
