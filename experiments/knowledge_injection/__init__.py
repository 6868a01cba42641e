"""The paper's comparison: how well passages go into the weights, asked in both directions."""
