"""Recipes that are chosen for pictures and a machine, by rules with a source each."""
