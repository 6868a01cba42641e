import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from torch.nn.functional import cross_entropy

from experiments.diffusion import adapt, decoding, run
from experiments.diffusion import denoiser as denoisers
from experiments.diffusion.decoding import Decoding
from experiments.diffusion.denoiser import Adapted, Denoiser
from experiments.diffusion.objective import collate, loss, noise, passage, reply, restored
from experiments.diffusion.plan import Shape
from experiments.diffusion.training import in_batches, sight, train
from experiments.knowledge_injection.report import read as read_run
from experiments.knowledge_injection.report import table
from tests.worker.conftest import *  # noqa: F403  (the tiny model's fixtures)
from worker.batches import turns
from worker.demasking import ChatForm

PASSAGES = ["Ada Quill is the smith of Orrin.", "Known as the tailor of Wend, Bo Finch sings."]
CPU = torch.device("cpu")


@pytest.fixture
def tiny(tiny_folder: Path) -> Denoiser:
    """The tiny model as a denoiser, in 32 bits."""
    denoiser = denoisers.causal(str(tiny_folder))
    denoiser.model.float()
    return denoiser


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[dict[str, Any]]]:
    """Runs a module's `main` with words as its arguments; the JSON lines that it printed."""

    def call(main: Callable[[], None], *words: object) -> list[dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", ["command", *map(str, words)])
        main()
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return call


@pytest.fixture
def wiki(tmp_path: Path) -> Path:
    """A set's folder with two passages and two questions."""
    folder = tmp_path / "wiki"
    folder.mkdir()
    (folder / "train.json").write_text(json.dumps([{"text": text} for text in PASSAGES]))
    rows = [("N2D", "Who is Ada Quill?", "the smith of Orrin"), ("D2N", "Who is the tailor of Wend, who sings?", "Bo")]
    lines = [json.dumps({"group": "wiki", "task": t, "question": q, "answer": a}) for t, q, a in rows]
    (folder / "test.jsonl").write_text("\n".join(lines))
    return folder


def ids_of(denoiser: Denoiser, text: str = PASSAGES[0]) -> torch.Tensor:
    return torch.tensor([denoiser.chat.tokens(text)])


@torch.no_grad()
def test_a_later_token_changes_an_earlier_logit_unless_attention_is_causal(tiny: Denoiser) -> None:
    ids_BT = ids_of(tiny)
    other_BT = ids_BT.clone()
    other_BT[0, -1] = tiny.mask_id
    causal_TT = torch.ones(ids_BT.shape[1], ids_BT.shape[1], dtype=torch.bool).tril()
    assert not torch.allclose(tiny.logits(ids_BT)[0, 1], tiny.logits(other_BT)[0, 1])
    assert torch.equal(
        tiny.logits(ids_BT, sight_TT=causal_TT)[0, :-1], tiny.logits(other_BT, sight_TT=causal_TT)[0, :-1]
    )


@torch.no_grad()
def test_logits_stand_at_the_place_that_they_predict(tiny: Denoiser) -> None:
    ids_BT = ids_of(tiny)
    causal_TT = torch.ones(ids_BT.shape[1], ids_BT.shape[1], dtype=torch.bool).tril()
    plain_BTV = tiny.model(input_ids=ids_BT).logits
    torch.testing.assert_close(tiny.logits(ids_BT, sight_TT=causal_TT)[:, 1:], plain_BTV[:, :-1])
    unshifted = replace(tiny, shifted=False)
    torch.testing.assert_close(unshifted.logits(ids_BT, sight_TT=causal_TT), plain_BTV)


def test_a_model_that_sees_one_way_or_padding_is_refused(tiny: Denoiser) -> None:
    denoisers.check(tiny)
    with pytest.raises(ValueError, match="on the right"):
        denoisers.check(replace(tiny, pairwise=False))

    class Heedless(Denoiser):
        def logits(
            self, ids_BT: torch.Tensor, seen_BT: torch.Tensor | None = None, sight_TT: torch.Tensor | None = None
        ) -> torch.Tensor:
            return super().logits(ids_BT)

    with pytest.raises(ValueError, match="padded"):
        denoisers.check(Heedless(tiny.model, tiny.tokenizer, tiny.mask_id, tiny.shifted, tiny.pairwise))
    with pytest.raises(ValueError, match="pairs"):
        replace(tiny, pairwise=False).logits(ids_of(tiny), sight_TT=torch.ones(1, 1, dtype=torch.bool))


def test_the_loss_is_that_of_a_plain_reference(tiny: Denoiser) -> None:
    batch = collate([passage(tiny.chat, text) for text in PASSAGES], CPU)
    noised = noise(batch, tiny.mask_id, torch.Generator().manual_seed(3))
    total = torch.tensor(0.0)
    for row, text in enumerate(PASSAGES):
        ids = torch.tensor(passage(tiny.chat, text).ids)
        logits = tiny.logits(noised.ids_BT[row, None, : len(ids)])[0]
        hidden = noised.ids_BT[row, : len(ids)] == tiny.mask_id
        total += cross_entropy(logits[hidden], ids[hidden], reduction="sum") / noised.ratio_B[row] / (len(ids) - 1)
    torch.testing.assert_close(loss(tiny, batch, noised), total / 2)


def test_nothing_hidden_teaches_nothing(tiny: Denoiser) -> None:
    adapted = denoisers.with_adapter(tiny, 2)
    batch = collate([passage(tiny.chat, PASSAGES[0])], CPU)
    generator = torch.Generator().manual_seed(0)
    for ratio, learns in ((0.0, False), (0.5, True)):
        noised = noise(batch, tiny.mask_id, generator, ratio)
        found = loss(adapted, batch, replace(noised, ratio_B=torch.tensor([0.5])))
        found.backward()
        gradients = [p.grad for p in adapted.model.parameters() if p.requires_grad and p.grad is not None]
        assert (float(found.detach()) > 0) is learns
        assert any(bool(gradient.any()) for gradient in gradients) is learns


def test_a_seed_hides_the_same_tokens_twice_and_the_start_never(chat: ChatForm) -> None:
    batch = collate([passage(chat, text) for text in PASSAGES] * 20, CPU)
    one, same, other = (noise(batch, 319, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one.ids_BT, same.ids_BT)
    assert torch.equal(one.ratio_B, same.ratio_B)
    assert not torch.equal(one.hidden_BT, other.hidden_BT)
    assert 0.05 <= float(one.ratio_B.min()) < 0.2 < 0.8 < float(one.ratio_B.max()) <= 0.95
    whole = noise(batch, 319, torch.Generator(), 1.0)
    assert not whole.hidden_BT[:, 0].any()
    assert bool((whole.hidden_BT[:, 1:] == batch.seen_BT[:, 1:]).all())


def test_of_a_question_only_the_answer_is_hidden(chat: ChatForm) -> None:
    example = reply(chat, "Who?", "Ada Quill", ends=3)
    noised = noise(collate([example], CPU), chat.hidden_id, torch.Generator(), 1.0)
    assert noised.ids_BT[0, : example.shown].tolist() == chat.prompt("Who?")
    learnt = [id_ for id_, hidden in zip(example.ids, noised.hidden_BT[0].tolist(), strict=True) if hidden]
    assert learnt == [*chat.tokens("Ada Quill"), *chat.after_answer * 3]


@dataclass(frozen=True)
class Known:
    """A denoiser of known probabilities: `table` by what stands in the answer so far. Token 5 is hidden, 4 the end."""

    table: dict[tuple[int, ...], list[dict[int, float]]]
    mask_id: int = 5
    device: torch.device = CPU

    def logits(self, ids_BT: torch.Tensor) -> torch.Tensor:
        rows = [[{}, *self.table[tuple(row[1:])]] for row in ids_BT.tolist()]
        return torch.tensor([[[place.get(id_, 1e-9) for id_ in range(6)] for place in row] for row in rows]).log()


def test_the_surest_tokens_of_a_block_are_fixed_first() -> None:
    known = Known(
        {
            # The second and third are surest; the hidden token itself, however likely, is no answer.
            (5, 5, 5, 5): [{1: 0.6, 0: 0.4}, {2: 0.9, 0: 0.1}, {3: 0.7, 1: 0.3}, {1: 0.3, 5: 0.7}],
            # They being known, the first is another than before.
            (5, 2, 3, 5): [{3: 0.8, 1: 0.2}, {0: 1.0}, {0: 1.0}, {1: 0.9, 4: 0.1}],
        }
    )
    prompt = torch.tensor([[0]])
    assert decoding.decode(known, prompt, {4}, Decoding(4, 2, 4)) == [[3, 2, 3, 1]]
    assert decoding.decode(known, prompt, {4}, Decoding(4, 1, 4)) == [[1, 2, 3, 1]]


def test_blocks_come_from_left_to_right_and_an_ended_sequence_is_cut() -> None:
    sure = {2: 0.99, 0: 0.01}
    known = Known(
        {
            (5, 5, 5, 5): [{1: 0.4, 0: 0.3}, {2: 0.5, 0: 0.2}, sure, sure],
            (5, 2, 5, 5): [{3: 0.6, 0: 0.4}, sure, sure, sure],
            (3, 2, 5, 5): [sure, sure, {1: 0.5, 0: 0.4}, {4: 0.9, 0: 0.1}],
            (3, 2, 5, 4): [sure, sure, {4: 0.8, 0: 0.2}, sure],
        }
    )
    assert decoding.decode(known, torch.tensor([[0]]), {4}, Decoding(4, 4, 2)) == [[3, 2]]
    # With token 2 as the end the first block holds it, and the second is never asked for.
    early = Known({key: row for key, row in known.table.items() if key in {(5, 5, 5, 5), (5, 2, 5, 5)}})
    assert decoding.decode(early, torch.tensor([[0]]), {2}, Decoding(4, 4, 2)) == [[3]]


def test_an_answer_does_not_depend_on_its_neighbours(tiny: Denoiser) -> None:
    prompts = [tiny.chat.prompt(question) for question in ("Who?", "Who is Ada Quill?", "Why?", "Who is it of Orrin?")]
    how, ends = Decoding(8, 4, 4), {int(tiny.tokenizer.eos_token_id)}
    together = decoding.answers(tiny, prompts, ends, how)
    assert len({len(prompt) for prompt in prompts}) > 1
    assert together == [decoding.answers(tiny, [prompt], ends, how)[0] for prompt in prompts]


@pytest.mark.parametrize("measures", [(6, 6, 4), (8, 3, 4), (8, 16, 4), (8, 0, 4)])
def test_steps_that_cannot_be_shared_out_are_refused(measures: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        Decoding(*measures)
    assert Decoding(8, 6, 4).fixed == (2, 1, 1)


def test_attention_opens_from_causal_to_full() -> None:
    generator = torch.Generator().manual_seed(0)
    causal, half = (sight(40, share, generator, CPU) for share in (0.0, 0.5))
    assert causal is not None
    assert half is not None
    assert torch.equal(causal, torch.ones(40, 40, dtype=torch.bool).tril())
    assert bool((half | ~causal).all())
    assert float(half[~causal].float().mean()) == pytest.approx(0.5, abs=0.1)
    assert sight(40, 1.0, generator, CPU) is None


def test_a_passage_is_learnt(tiny: Denoiser) -> None:
    adapted = denoisers.with_adapter(tiny, 16)
    examples = [passage(tiny.chat, PASSAGES[0])]
    before = restored(adapted, examples * 16, 0.5, seed=0)
    endless = in_batches(turns(examples, random.Random(0)), 8)
    train(adapted, endless, lambda _: (1e-2, 1.0), lambda steps, *_: steps < 200, seed=0)
    assert restored(adapted, examples * 16, 0.5, seed=0) > 0.7 > 0.3 > before


def test_an_adapted_model_is_taught_and_asked(
    tiny_folder: Path,
    wiki: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., list[dict[str, Any]]],
) -> None:
    monkeypatch.setattr(adapt, "WRITTEN_TOKENS", 8)
    folder = tmp_path / "adapted"
    words = ("--base", tiny_folder, "--output", folder, "--minutes", 0.01, "--texts", 30, "--rank", 4)
    first = command(adapt.main, *words)
    assert [line["kind"] for line in first if line["kind"] != "progress"] == ["written", "end"]
    assert set(first[-1]["restored"]["0.5"]) == {"adapted", "base", "base, causal"}
    kept = (folder / adapt.TEXTS).read_text()
    assert command(adapt.main, *words)[0]["kind"] != "written"
    assert (folder / adapt.TEXTS).read_text() == kept
    about = Adapted.read(folder)
    assert (about.base, about.shifted, about.tokens > 0) == (str(tiny_folder), True, True)

    (plan,) = command(run.main, "--denoiser", tmp_path / "none", "--data", wiki, "--dry-run")
    assert str(tmp_path / "none") in plan["missing"][0]
    data = ("--denoiser", folder, "--data", wiki, "--decoding", 4, 2, 2)
    (plan,) = command(run.main, *data, "--tokens", 900, "--dry-run")
    denoiser = denoisers.load(str(folder))
    adapter = sum(p.numel() for name, p in denoiser.model.named_parameters() if "lora_" in name)
    assert plan["adapter"] == adapter
    assert plan["weights"] == pytest.approx(sum(p.numel() for p in denoiser.model.parameters()) - adapter, rel=0.01)

    lines = command(run.main, *data, "--tokens", 900, "--look-minutes", 1e-6, "--ratio", 0.5)
    assert {line["kind"] for line in lines[:-1]} == {"look"}
    assert lines[-1]["steps"] == plan["steps"]
    (tmp_path / "run.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "| diffusion (ratio=0.5) | 2 |" in table("wiki", [read_run(tmp_path / "run.jsonl")])
    assert command(run.main, *data)[0]["changes"] == ["untaught"]


def test_an_exercise_of_a_text_that_was_cut_has_no_end(chat: ChatForm) -> None:
    cut, whole = (adapt.Text("Who?", "Ada Quill", ended) for ended in (False, True))
    (end,) = chat.after_answer
    assert [asked for _, asked in adapt.forms_of(whole)] == [False, True]
    assert adapt.forms_of(replace(whole, question=None)) == [(replace(whole, question=None), False)]
    for asked in (False, True):
        assert adapt.example(chat, cut, asked, ends=3).ids[-1] != end
        assert adapt.example(chat, whole, asked, ends=3).ids[-1] == end


def test_llada_s_measures_are_read_from_its_own_names(tmp_path: Path) -> None:
    measures = {"d_model": 4096, "n_heads": 32, "n_kv_heads": 32, "n_layers": 32, "mlp_hidden_size": 12288}
    settings = measures | {"embedding_size": 126464, "vocab_size": 126464, "weight_tying": False, "model_type": "llada"}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert Shape.of(str(tmp_path)).weights == pytest.approx(8.0e9, rel=0.01)


STAND_IN = """
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS


class StandInConfig(PretrainedConfig):
    model_type = "KIND"

    def __init__(self, vocab_size=0, **rest):
        self.vocab_size, self.hidden_size, self.num_attention_heads, self.rope_theta = vocab_size, 16, 2, 1e4
        super().__init__(**rest)


class StandIn(PreTrainedModel):
    config_class = StandInConfig

    def __init__(self, config):
        super().__init__(config)
        self.wte = torch.nn.Embedding(config.vocab_size, 16)
        self.blocks = torch.nn.ModuleList([torch.nn.ModuleDict({"ff_out": torch.nn.Linear(16, 16)})])
        self.ff_out = torch.nn.Linear(16, config.vocab_size)
        BEGIN

    def get_input_embeddings(self):
        return self.wte

    def get_output_embeddings(self):
        return self.ff_out

    def forward(self, input_ids=None, attention_mask=None, **rest):
        x = self.wte(input_ids)
        places = torch.arange(x.shape[1], device=x.device)[:, None] * self.frequencies()
        keys = x + torch.cat((places.sin(), places.cos()), dim=-1).to(x.dtype)
        seen = attention_mask
        if seen is not None:
            assert seen.dim() == DIM, seen.shape
            seen = seen.bool() if DIM == 4 else seen.bool()[:, None, None]
        x = x + scaled_dot_product_attention(keys[:, None], keys[:, None], x[:, None], attn_mask=seen)[:, 0]
        return CausalLMOutput(logits=self.ff_out(x + self.blocks[0]["ff_out"](x)))

    REST
"""
LLADA = {
    "KIND": "llada",
    "DIM": "2",
    "BEGIN": "pass",  # no post_init, as there
    "REST": "def frequencies(self):\n        return torch.full((8,), 0.1)\n\n    def tie_weights(self):\n        pass",
}
DREAM = {
    "KIND": "Dream",
    "DIM": "4",
    "BEGIN": "self.reset_rope_parameters()\n        self.post_init()",
    "REST": (
        "def reset_rope_parameters(self):\n        found, _ = ROPE_INIT_FUNCTIONS['default'](self.config, None)\n"
        "        self.register_buffer('inv_freq', found.repeat(2), persistent=False)\n\n"
        "    def frequencies(self):\n        return self.inv_freq"
    ),
}


@pytest.mark.parametrize("parts", [LLADA, DREAM], ids=["llada", "dream"])
def test_models_that_bring_their_code_are_loaded_when_it_is_allowed(
    parts: dict[str, str], tiny: Denoiser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    folder = tmp_path / f"stand_in_{parts['KIND']}"
    tiny.tokenizer.save_pretrained(folder)
    code = STAND_IN
    for name, text in parts.items():
        code = code.replace(name, text)
    (folder / "stand_in.py").write_text(code)
    auto = {"AutoConfig": "stand_in.StandInConfig", "AutoModel": "stand_in.StandIn"}
    settings = {"model_type": parts["KIND"], "auto_map": auto, "vocab_size": 320, "mask_token_id": 319}
    (folder / "config.json").write_text(json.dumps(settings))
    torch.manual_seed(0)
    shapes = {"wte.weight": (320, 16), "blocks.0.ff_out.weight": (16, 16), "ff_out.weight": (320, 16)}
    weights = {name: torch.randn(shape) for name, shape in shapes.items()}
    weights |= {"blocks.0.ff_out.bias": torch.zeros(16), "ff_out.bias": torch.zeros(320)}
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="trust-remote-code"):
        denoisers.load(str(folder))
    monkeypatch.setattr(denoisers, "DREAM_MASK_ID", 319)
    denoiser = denoisers.load(str(folder), trust_remote_code=True)
    assert (denoiser.mask_id, denoiser.shifted) == (319, parts is DREAM)
    adapted = denoisers.with_adapter(denoiser, 2)
    assert isinstance(adapted.model, peft.PeftModel)
    layers = {name.split(".lora_")[0] for name, _ in adapted.model.named_parameters() if "lora_" in name}
    assert {layer.removeprefix("base_model.model.") for layer in layers} == {"blocks.0.ff_out"}
    batch = collate([passage(denoiser.chat, text) for text in PASSAGES], CPU)
    loss(adapted, batch, noise(batch, 319, torch.Generator())).backward()


def test_a_model_of_another_kind_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(ValueError, match="known here"):
        denoisers.load(str(tiny_folder))
