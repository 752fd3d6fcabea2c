"""The basic types (noise, laws, targets, batches, operations, plans), the registry and the grammar. Nothing reads pixels."""
