"""Networks that other programs trained, as generators and starting points of ours."""
