"""The demonstration bank: a made-up bank of any size, the same for the same seed, and its loading."""
