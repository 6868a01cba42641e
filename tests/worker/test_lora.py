import json
from dataclasses import replace
from pathlib import Path

import peft
import pytest
import torch
from peft import PeftModel
from transformers import LlamaForCausalLM

from knowledge.errors import InvalidRecipe
from knowledge.recipes import by_name
from worker import lora

RECIPE = replace(by_name("default"), rank=4)
LINEAR = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def _base(folder: Path) -> LlamaForCausalLM:
    model: LlamaForCausalLM = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)
    return model


def _attach_random(folder: Path) -> PeftModel:
    adapted = lora.attach(_base(folder), RECIPE, None, 0)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    return adapted


def test_only_adapter_weights_learn_and_all_linear_layers_have_one(tiny_folder: Path) -> None:
    adapted = lora.attach(_base(tiny_folder), RECIPE, None, 0)
    trainable = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name for name in trainable)
    assert {name.split(".lora_")[0].rsplit(".", 1)[-1] for name in trainable} == LINEAR


def test_a_fresh_adapter_depends_on_its_seed_alone(tiny_folder: Path) -> None:
    def start(seed: int, drawn_before: int) -> torch.Tensor:
        torch.manual_seed(drawn_before)
        weights = peft.get_peft_model_state_dict(lora.attach(_base(tiny_folder), RECIPE, None, seed))
        return torch.cat([weight.flatten() for weight in weights.values()])

    assert torch.equal(start(1, drawn_before=2), start(1, drawn_before=3))
    assert not torch.equal(start(1, drawn_before=2), start(2, drawn_before=2))


def test_the_fast_forward_equals_peft_and_so_do_its_gradients(tiny_folder: Path, tmp_path: Path) -> None:
    fast = _attach_random(tiny_folder)
    lora.save(fast, tmp_path, str(tiny_folder))
    plain = PeftModel.from_pretrained(_base(tiny_folder), str(tmp_path), is_trainable=True)
    ids = torch.arange(4, 24)[None]
    outputs = [model(input_ids=ids, labels=ids) for model in (fast, plain)]
    torch.testing.assert_close(outputs[0].logits, outputs[1].logits, atol=1e-4, rtol=1e-4)
    for output in outputs:
        output.loss.backward()
    theirs = {name: parameter.grad for name, parameter in plain.named_parameters() if parameter.requires_grad}
    for name, parameter in fast.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, theirs[name], atol=1e-4, rtol=1e-3)


def test_a_saved_adapter_is_of_the_form_that_vllm_loads(tiny_folder: Path, tmp_path: Path) -> None:
    lora.save(_attach_random(tiny_folder), tmp_path, "some/base")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["r"], config["bias"], config["modules_to_save"], config["use_dora"]) == (4, "none", None, False)
    assert set(config["target_modules"]) == LINEAR
    assert config["base_model_name_or_path"] == "some/base"


def test_training_continues_from_a_saved_adapter(tiny_folder: Path, tmp_path: Path) -> None:
    first = _attach_random(tiny_folder)
    lora.save(first, tmp_path, str(tiny_folder))
    second = lora.attach(_base(tiny_folder), RECIPE, str(tmp_path), 0)
    weights = peft.get_peft_model_state_dict(first)
    for name, weight in peft.get_peft_model_state_dict(second).items():
        torch.testing.assert_close(weight, weights[name])
    assert any(parameter.requires_grad for parameter in second.parameters())


def test_an_adapter_of_another_rank_cannot_be_continued(tiny_folder: Path, tmp_path: Path) -> None:
    lora.save(_attach_random(tiny_folder), tmp_path, str(tiny_folder))
    with pytest.raises(InvalidRecipe, match="rank"):
        lora.attach(_base(tiny_folder), replace(RECIPE, rank=8), str(tmp_path), 0)
