"""From pictures back to latents: finding the nearest latent, and filling holes with it."""
