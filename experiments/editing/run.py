"""What each arm changes beside the facts, which the paper leaves out: general answers, and neighbours of the facts.

python -m experiments.editing.run --base FOLDER --data generated-names --output editing.jsonl
"""

from experiments.sweep import BATCH, Size, Sweep

ARMS = ("autoregressive", "masked", "random-token", "ours")
SWEEP = Sweep(
    "editing",
    {arm: ("--arm", arm) for arm in ARMS},
    {"debug": Size(2, 1_500, 1, BATCH), "small": Size(6, 40_000, 2, BATCH), "full": Size(30, 4_000_000, 4)},
    ("--look-minutes", "1e6", "--locality"),
)

if __name__ == "__main__":
    SWEEP.main()
