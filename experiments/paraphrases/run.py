"""Whether other wordings of a passage are needed, and in which order: none, in its order, turned round, by the model.

python -m experiments.paraphrases.run --base FOLDER --data generated-names --output paraphrases.jsonl

`published` needs a set's folder with `train_paraphrases.json`.
"""

from experiments.sweep import FEW_STEPS, Size, Sweep

ARMS = ("autoregressive", "masked", "ours")
WORDINGS = {
    "none": (),
    "2 in its order": ("--paraphrases", "2", "--paraphrased", "same"),
    "8 in its order": ("--paraphrases", "8", "--paraphrased", "same"),
    "8 turned round": ("--paraphrases", "8", "--paraphrased", "permuted"),
    "8 by the model": ("--paraphrases", "8", "--paraphrased", "model"),
    "8 published": ("--paraphrases", "8", "--paraphrased", "published"),
}
SWEEP = Sweep(
    "paraphrases",
    {f"{arm}, {name}": ("--arm", arm, *options) for arm in ARMS for name, options in WORDINGS.items()},
    {"debug": Size(2, 1_500, 1, FEW_STEPS), "small": Size(6, 20_000, 1, FEW_STEPS), "full": Size(0, 4_000_000, 4)},
    ("--look-minutes", "1e6"),
)

if __name__ == "__main__":
    SWEEP.main()
