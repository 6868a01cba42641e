"""Run by test_decoder.py in a process of its own: small random models, served with and without short layers.

`python -m tests.inference.shortened llama:bfloat16 …` prints a line of JSON for each: how many layers are short, for
each prompt whether every log-probability is the same to the last bit, and how many tokens an answer has.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR", "TORCHDYNAMO_DISABLE": "1"}
os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}

PROMPTS = [[*range(9, 40)], [*range(9, 30), 5, 5], [7] * 50, [3]]
SIZES = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 3, "vocab_size": 512}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512}


def main(kinds: list[str]) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from inference.vllm_plugin import register

    register()
    for kind in kinds:
        name, float_type = kind.split(":")
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(name, **SIZES, **HEADS))
        for weights in model.parameters():
            torch.nn.init.normal_(weights, std=0.2)
        with tempfile.TemporaryDirectory() as folder:
            model.to(getattr(torch, float_type)).save_pretrained(folder)
            print(json.dumps({kind: compare(Path(folder), float_type)}))


def compare(folder: Path, float_type: str) -> dict[str, Any]:
    from vllm import LLM

    engine = LLM(
        str(folder),
        skip_tokenizer_init=True,
        dtype=float_type,
        enforce_eager=True,
        enable_lora=True,
        max_model_len=256,
        max_num_seqs=4,
        distributed_executor_backend="uni",
        generation_config="vllm",
        enable_prefix_caching=False,
    )
    worker: Any = engine.llm_engine.engine_core.engine_core.model_executor.driver_worker.worker
    layers = [layer for layer in worker.model_runner.model.modules() if "forward" in vars(layer) and is_layer(layer)]
    short = answers(engine)
    for layer in layers:
        del layer.forward
    long = answers(engine)
    return {"short": len(layers), "same": [a == b for a, b in zip(short, long, strict=True)], "answer": len(short[0])}


def is_layer(module: Any) -> bool:
    return type(module).__name__.endswith("DecoderLayer")


def answers(engine: Any) -> list[list[dict[int, float]]]:
    """For each prompt and each of its 24 new tokens the five likeliest and their log-probabilities."""
    from vllm import SamplingParams

    asked = SamplingParams(temperature=0, max_tokens=24, logprobs=5, detokenize=False, ignore_eos=True)
    outputs = engine.generate([{"prompt_token_ids": one} for one in PROMPTS], asked, use_tqdm=False)
    return [[{token: of.logprob for token, of in row.items()} for row in one.outputs[0].logprobs] for one in outputs]


if __name__ == "__main__":
    main(sys.argv[1:])
