"""What each arm changes beside the facts, which the paper leaves out: general answers, and neighbours of the facts.

python -m experiments.editing.run --base FOLDER --data generated-names --output editing.jsonl
"""

from experiments.sweep import FEW_STEPS, Size, Sweep

ARMS = ("autoregressive", "masked", "random-token", "ours")
SWEEP = Sweep(
    "editing",
    {arm: ("--arm", arm) for arm in ARMS},
    {"debug": Size(2, 1_500, 1, FEW_STEPS), "small": Size(6, 20_000, 1, FEW_STEPS), "full": Size(30, 4_000_000, 4)},
    ("--look-minutes", "1e6", "--locality"),
)

if __name__ == "__main__":
    SWEEP.main()
