"""Figures, contact sheets and the text that accompanies them."""
