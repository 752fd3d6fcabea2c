"""TANDA's adversarial training: a sequence generator against a discriminator of real and transformed data."""
