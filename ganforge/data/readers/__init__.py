"""Ways to get the samples of a batch; all of them follow the same order."""
