"""The rate of each arm: an arm is compared at its own best, or the comparison is of rates.

python -m experiments.learning_rate.run --base FOLDER --data FOLDER/name_description --output learning_rate.jsonl
"""

from experiments.sweep import BATCH, Size, Sweep

RATES = {"autoregressive": (1e-4, 5e-4, 2e-3), "masked": (1e-4, 5e-4, 2e-3), "ours": (5e-4, 1e-3, 2e-3)}
SWEEP = Sweep(
    "learning_rate",
    {f"{arm}, {rate:g}": ("--arm", arm, f"learning_rate={rate}") for arm, rates in RATES.items() for rate in rates},
    {"debug": Size(2, 1_500, 1, BATCH), "small": Size(6, 20_000, 1, BATCH), "full": Size(0, 4_000_000, 4)},
    ("--look-minutes", "1e6"),
)

if __name__ == "__main__":
    SWEEP.main()
