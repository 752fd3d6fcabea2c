"""Presets: chains of stages under a name of their own."""
