"""What happens to images: forms, operations, policies, pipelines."""
