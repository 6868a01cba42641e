"""The development bench of the default recipe: invented facts, natural questions, canaries."""
