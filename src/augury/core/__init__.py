"""The nouns: addressed noise, laws, targets, batches, operations, plans; the registry and the grammar. No pixels."""
