"""What goes wrong between two players, read off the figures of a run: pure rules, no training and no torch."""
