"""Figures, contact sheets and the sentences beside them."""
