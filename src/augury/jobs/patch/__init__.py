"""Model patching: finding the subgroups on which a model fails, translating images between them, and retraining."""
