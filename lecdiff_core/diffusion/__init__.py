"""Paper module 3, conditional diffusion: noise schedule, denoisers, samplers."""
