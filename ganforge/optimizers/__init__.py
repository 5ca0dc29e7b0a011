"""Optimizers by name. Each takes the player's parameters and its own checked options."""
