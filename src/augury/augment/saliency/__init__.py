"""Saliency maps, which pixels a network's decision depends on, and boxes chosen by them."""
