"""Training of networks on prepared or simulated recordings."""
