"""How accuracy grows with the steps, and what a step costs, by arm, over several seeds.

    python -m experiments.dynamics.run --base FOLDER --data generated-names --output dynamics.jsonl
    python -m experiments.dynamics.fit dynamics.jsonl

A run looks every few steps at all its questions; `fit` then fits A(1 - exp(-k x)) to each arm's curves.
"""

from experiments.sweep import FEW_STEPS, Size, Sweep

ARMS = {"autoregressive": 5, "masked": 3, "ours": 8}
"""Steps between looks. One of ours holds a fifth of the exercises."""

SWEEP = Sweep(
    "dynamics",
    {arm: ("--arm", arm, "--look-steps", str(every), "--count") for arm, every in ARMS.items()},
    {"debug": Size(2, 1_500, 1, FEW_STEPS), "small": Size(6, 20_000, 4, FEW_STEPS), "full": Size(0, 4_000_000, 4)},
)

if __name__ == "__main__":
    SWEEP.main()
