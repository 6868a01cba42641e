"""Denoisers: models that restore hidden tokens with both sides in sight, loaded and called in one way.

| what | hidden token | logits | attention that its code takes |
|---|---|---|---|
| LLaDA-8B-Instruct | its configuration's `mask_token_id`, 126336 | at the hidden place | (B, T): which are there |
| Dream-7B | its tokenizer's mask token, 151666 | one place before | (B, 1, T, T): which sees which |
| a folder made by `adapt.py` | what its `denoiser.json` says | as it says | (B, 1, T, T) |

Read in the models' published code: LLaDA's `modeling_llada.py` as of 2025-10-21 (before, it ignored the attention) and
`generate.py`, Dream's `modeling_dream.py` and `generation_utils.py`. Their weights were not at hand, so neither model
was ever run. Both are written for transformers 4 (Dream asks for 4.46.2): their way into version 5 is tested on
small stand-ins with their interfaces alone, and `check` tries on every loaded model what the rest relies on.

Legend: B sequences, T tokens, V vocabulary.
"""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import peft
import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.dynamic_module_utils import get_class_from_dynamic_module
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from knowledge.processor import float_type
from worker import base_model
from worker.demasking import ChatForm, chat_form

FILE = "denoiser.json"
LLADA_MASK_ID, DREAM_MASK_ID = 126336, 151666


@dataclass(frozen=True)
class Adapted:
    """What a folder of `adapt.py` holds beside the adapter. `tokens` says how many it was trained on."""

    base: str
    mask_id: int
    shifted: bool
    tokens: int
    seed: int

    def write(self, folder: Path) -> None:
        """Writes it as `denoiser.json`."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads what `write` wrote."""
        return cls(**json.loads((folder / FILE).read_text()))


@dataclass(frozen=True)
class Denoiser:
    """A model and how to ask it for hidden tokens, whose place holds `mask_id`.

    `shifted` says that its logits stand one place before what they predict, as an autoregressive model's do; `pairwise`
    that it takes attention as (B, 1, T, T) and not as (B, T).
    """

    model: torch.nn.Module
    tokenizer: PreTrainedTokenizerBase
    mask_id: int
    shifted: bool
    pairwise: bool

    @cached_property
    def chat(self) -> ChatForm:
        """The chat form that it is asked in."""
        return chat_form(self.tokenizer)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.model.parameters()).device

    def logits(
        self, ids_BT: torch.Tensor, seen_BT: torch.Tensor | None = None, sight_TT: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits (B, T, V), each at the place that it predicts; those at the first place mean nothing where shifted.

        `seen_BT` is false for padding, `sight_TT` says which token (row) sees which: all of them without it. Raises
        `ValueError` for `sight_TT` where the model takes no attention by pairs.
        """
        logits_BTV: torch.Tensor = self.model(input_ids=ids_BT, **self._attention(ids_BT, seen_BT, sight_TT)).logits
        return torch.cat((logits_BTV[:, :1], logits_BTV[:, :-1]), dim=1) if self.shifted else logits_BTV

    def _attention(
        self, ids_BT: torch.Tensor, seen_BT: torch.Tensor | None, sight_TT: torch.Tensor | None
    ) -> dict[str, Any]:
        if not self.pairwise:
            if sight_TT is not None:
                raise ValueError("This model takes no attention by pairs of tokens.")
            return {} if seen_BT is None else {"attention_mask": seen_BT.long()}
        batch, length = ids_BT.shape
        if sight_TT is None:
            sight_TT = torch.ones(length, length, dtype=torch.bool, device=ids_BT.device)
        attention_BTT = sight_TT.expand(batch, length, length)
        if seen_BT is not None:
            attention_BTT = attention_BTT & seen_BT[:, None, :]
        return {"attention_mask": attention_BTT[:, None], "use_cache": False}


def load(name: str, trust_remote_code: bool = False) -> Denoiser:
    """Loads a folder of `adapt.py`, LLaDA or Dream, by folder or hub name, and checks it.

    LLaDA and Dream bring their own code, which runs with this process's rights: raises `ValueError` for them without
    `trust_remote_code`, for models of other kinds, and for one that `check` refuses.
    """
    folder = Path(name)
    denoiser = _adapted(folder) if (folder / FILE).is_file() else _published(name, trust_remote_code)
    check(denoiser)
    return denoiser


def causal(base: str) -> Denoiser:
    """An autoregressive model as a denoiser that is yet to be adapted: its logits are shifted.

    The hidden token is one that no text holds, as in masked fine-tuning (`worker/demasking.py`).
    """
    model, tokenizer = base_model.load(base)
    return Denoiser(model, tokenizer, chat_form(tokenizer).hidden_id, shifted=True, pairwise=True)


def with_adapter(denoiser: Denoiser, rank: int) -> Denoiser:
    """The same denoiser with an adapter to train: the one it has, or a new one on all linear layers but the output."""
    if isinstance(denoiser.model, peft.PeftModel):
        return denoiser
    assert isinstance(denoiser.model, PreTrainedModel)
    config = peft.LoraConfig(r=rank, lora_alpha=rank, target_modules="all-linear")
    model = peft.get_peft_model(denoiser.model, config)
    return Denoiser(model, denoiser.tokenizer, denoiser.mask_id, denoiser.shifted, denoiser.pairwise)


@torch.no_grad()
def check(denoiser: Denoiser) -> None:
    """Raises `ValueError` unless a later token changes an earlier logit and padding changes (next to) none."""
    ids = denoiser.chat.tokens("A library is a place where people read books.")
    ids_BT = torch.tensor([[denoiser.mask_id, *ids]], device=denoiser.device)
    plain_BTV = denoiser.logits(ids_BT).float()
    other_BT = ids_BT.clone()
    other_BT[0, -1] = denoiser.mask_id
    if torch.equal(plain_BTV[:, :-1], denoiser.logits(other_BT).float()[:, :-1]):
        raise ValueError("This model does not see the tokens on the right.")
    padded_BT = torch.cat((ids_BT, ids_BT[:, -4:]), dim=1)
    seen_BT = torch.arange(padded_BT.shape[1], device=denoiser.device)[None] < ids_BT.shape[1]
    apart = {
        name: (denoiser.logits(padded_BT, seen).float()[:, : ids_BT.shape[1]] - plain_BTV).abs().mean()
        for name, seen in (("masked", seen_BT), ("seen", None))
    }
    if apart["masked"] > 0.5 * apart["seen"]:
        raise ValueError("This model's code ignores the attention mask: batches cannot be padded.")


def _adapted(folder: Path) -> Denoiser:
    about = Adapted.read(folder)
    model, tokenizer = base_model.load(about.base)
    adapted = peft.PeftModel.from_pretrained(model, str(folder), is_trainable=True).eval()
    return Denoiser(adapted, tokenizer, about.mask_id, about.shifted, pairwise=True)


def _published(name: str, trust_remote_code: bool) -> Denoiser:
    settings, _ = PreTrainedConfig.get_config_dict(name)
    kind = str(settings.get("model_type", "")).lower()
    if kind not in {"llada", "dream"}:
        raise ValueError(f"{name} is no denoiser that is known here: no {FILE}, and of type {kind!r}.")
    if not trust_remote_code:
        raise ValueError(f"{name} brings its own code. Allow it to run with --trust-remote-code.")
    _ready_for_transformers_5(get_class_from_dynamic_module(settings["auto_map"]["AutoModel"], name))
    dtype = torch.bfloat16 if torch.cuda.is_available() else getattr(torch, float_type())
    model = AutoModel.from_pretrained(name, dtype=dtype, trust_remote_code=True)
    if hasattr(model, "reset_rope_parameters"):  # Dream's frequencies are in no file, and version 5 leaves them unset
        model.reset_rope_parameters()
    model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval().requires_grad_(False)
    tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=True)
    if kind == "llada":
        return Denoiser(model, tokenizer, settings.get("mask_token_id", LLADA_MASK_ID), shifted=False, pairwise=False)
    mask_id = DREAM_MASK_ID if tokenizer.mask_token_id is None else int(tokenizer.mask_token_id)
    return Denoiser(model, tokenizer, mask_id, shifted=True, pairwise=True)


def _ready_for_transformers_5(model_class: type) -> None:
    """Gives a model class written for transformers 4 what version 5 wants or lacks.

    LLaDA's never calls `post_init`, which lists the tied weights, and its `tie_weights` takes no arguments
    (ML-GSAI/LLaDA issue 130); its weights are not tied. Dream's looks up the plain rotary frequencies by name.
    """
    if "tie_weights" in vars(model_class):
        model_class.all_tied_weights_keys = {}  # type: ignore[attr-defined]
        model_class.tie_weights = lambda *_, **__: None  # type: ignore[attr-defined]
    ROPE_INIT_FUNCTIONS.setdefault("default", _plain_frequencies)


def _plain_frequencies(config: Any, device: torch.device | None = None, **_: object) -> tuple[torch.Tensor, float]:
    """Rotary frequencies (arXiv 2104.09864, section 3.2.2) and the factor on their sines, 1."""
    size = config.hidden_size // config.num_attention_heads
    theta = (getattr(config, "rope_parameters", None) or {}).get("rope_theta") or config.rope_theta
    return theta ** -(torch.arange(0, size, 2, device=device, dtype=torch.float) / size), 1.0
