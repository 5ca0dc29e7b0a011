"""What happens to samples, real and fake alike, on their way to the discriminator: one family of changes a file."""
