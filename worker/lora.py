"""The adapter: attached to a frozen base, computed fast, saved in PEFT's format.

Legend: N tokens, I and O a layer's inputs and outputs, R the adapter's rank.
"""

import json
import shutil
import tempfile
import types
from pathlib import Path
from typing import Any

import peft
import torch
from peft.tuners.lora import Linear as LoraLinear

from knowledge.errors import InvalidRecipe
from knowledge.recipes import Recipe
from worker.spec import ADAPTER_FILES

ADAPTER = "default"


def attach(model: torch.nn.Module, recipe: Recipe, warm_start: str | None, seed: int) -> peft.PeftModel:
    """Freezes `model` and puts an adapter on all its linear layers: fresh, or the one in `warm_start` to continue.

    A fresh one starts from `seed`, whatever else in the process draws at random. The adapter's weights
    are fp32 whatever the base's type. Raises `InvalidRecipe` when `warm_start` does not fit.
    """
    if warm_start is None:
        torch.manual_seed(seed)
        config = peft.LoraConfig(
            r=recipe.rank,
            lora_alpha=recipe.scale * recipe.rank,  # type: ignore[arg-type]  # a float works
            target_modules=_linear_layers(model),
            layers_to_transform=_upper_layers(model, recipe.skipped_layers),
            task_type="CAUSAL_LM",
        )
        adapted: peft.PeftModel = peft.get_peft_model(model, config)
    else:
        saved = peft.PeftConfig.from_pretrained(warm_start)
        if getattr(saved, "r", None) != recipe.rank:
            raise InvalidRecipe(f"The adapter to continue from has rank {getattr(saved, 'r', '?')}, not {recipe.rank}.")
        adapted = peft.PeftModel.from_pretrained(model, warm_start, is_trainable=True)
    for layer in adapted.modules():
        if isinstance(layer, LoraLinear) and isinstance(layer.base_layer, torch.nn.Linear):
            layer.forward = types.MethodType(_forward, layer)  # type: ignore[method-assign]
    return adapted


def save(adapted: peft.PeftModel, output: Path, base_model: str) -> None:
    """Writes `adapter_config.json` and `adapter_model.safetensors` (fp32) into `output`, whole or not at all."""
    output.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".saving-", dir=output))
    try:
        adapted.peft_config[ADAPTER].base_model_name_or_path = base_model
        adapted.save_pretrained(str(temporary), save_embedding_layers=False)
        config = json.loads((temporary / "adapter_config.json").read_text())
        config["target_modules"] = sorted(config["target_modules"])
        (temporary / "adapter_config.json").write_text(json.dumps(config, indent=2))
        for name in ADAPTER_FILES:
            (temporary / name).replace(output / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _linear_layers(model: torch.nn.Module) -> list[str]:
    """The last names of all linear layers but the output embedding: q_proj, …, down_proj."""
    output = getattr(model, "get_output_embeddings", lambda: None)()
    names = {
        name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear) and layer is not output
    }
    return sorted({name.rsplit(".", 1)[-1] for name in names})


def _upper_layers(model: torch.nn.Module, skipped: float) -> list[int] | None:
    """All layers but the lowest share: nothing is propagated back below the first adapted one, which saves its time."""
    layers = int(model.config.get_text_config().num_hidden_layers)  # type: ignore[union-attr, operator]
    return list(range(int(skipped * layers), layers)) if skipped else None


class _AdaptedLinear(torch.autograd.Function):
    """y = x Wᵀ + s x Aᵀ Bᵀ with all products in the base's type.

    PEFT computes the adapter's half in fp32 with a dozen small operations a layer; this takes 18 % off a whole step on
    two cores in bf16 (experiments/LOG.md). W is frozen and gets no gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, x_NI: torch.Tensor, w_OI: torch.Tensor, a_RI: torch.Tensor, b_OR: torch.Tensor, scale: float
    ) -> torch.Tensor:
        a_RI, b_OR = a_RI.to(x_NI.dtype), (b_OR * scale).to(x_NI.dtype)
        inner_NR = x_NI @ a_RI.T
        ctx.save_for_backward(x_NI, w_OI, a_RI, b_OR, inner_NR)
        ctx.scale = scale
        return torch.addmm(x_NI @ w_OI.T, inner_NR, b_OR.T)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (grad_NO,) = grads
        x_NI, w_OI, a_RI, b_OR, inner_NR = ctx.saved_tensors
        grad_NR = grad_NO @ b_OR
        grad_NI = torch.addmm(grad_NO @ w_OI, grad_NR, a_RI) if ctx.needs_input_grad[0] else None
        return grad_NI, None, (grad_NR.T @ x_NI).float(), (grad_NO.T @ inner_NR).float() * ctx.scale, None


def _forward(layer: Any, x: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
    base = layer.base_layer
    if layer.disable_adapters:
        y: torch.Tensor = base(x)
        return y
    y_NO: torch.Tensor = _AdaptedLinear.apply(  # type: ignore[no-untyped-call]
        x.reshape(-1, x.shape[-1]),
        base.weight,
        layer.lora_A[ADAPTER].weight,
        layer.lora_B[ADAPTER].weight,
        layer.scaling[ADAPTER],
    )
    if base.bias is not None:
        y_NO = y_NO + base.bias
    return y_NO.view(*x.shape[:-1], -1)
