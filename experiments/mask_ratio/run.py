"""Which share of a passage is hidden: fixed ratios against a random one, for the paper's masked recipe.

python -m experiments.mask_ratio.run --base FOLDER --data FOLDER/name_description --output mask_ratio.jsonl
"""

from experiments.sweep import FEW_STEPS, Size, Sweep

RATIOS = (0.0, 0.25, 0.5, 0.75, 1.0)
SWEEP = Sweep(
    "mask_ratio",
    {
        "random": (),
        **{f"{ratio:g}": (f"hidden_low={ratio}", f"hidden_high={ratio}") for ratio in RATIOS},
    },
    {"debug": Size(2, 1_500, 1, FEW_STEPS), "small": Size(6, 20_000, 1, FEW_STEPS), "full": Size(0, 12_000_000, 4)},
    ("--arm", "masked", "--look-minutes", "1e6"),
)

if __name__ == "__main__":
    SWEEP.main()
