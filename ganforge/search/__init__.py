"""From pictures back to latents: the nearest latent, and filling holes by it."""
