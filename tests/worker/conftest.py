"""A random Llama of 60 thousand weights with a real byte-level tokenizer and ChatML template, made in a second."""

import os
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from worker.demasking import ChatForm, chat_form

os.environ.setdefault("HF_DEACTIVATE_ASYNC_LOAD", "1")  # so small a model is loaded without a pool of threads

MARKERS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<empty_output>"]
TEMPLATE = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _words_as_tokens() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The markers, every byte, and some words built letter by letter: training a vocabulary breaks ties by chance."""
    tokens, merges = [*MARKERS[:3], *sorted(pre_tokenizers.ByteLevel.alphabet())], []
    for word in "Ada ĠQuill Ġis Ġthe Ġsmith Ġof ĠOrrin ĠWho Ġit ĠReturn Ġrecovered Ġmasked Ġpassage".split():
        for end in range(1, len(word)):
            if word[: end + 1] not in tokens:
                merges.append((word[:end], word[end]))
                tokens.append(word[: end + 1])
    return {token: place for place, token in enumerate(tokens)}, merges


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model and tokenizer in Hugging Face's form."""
    folder = tmp_path_factory.mktemp("tiny")
    bpe = Tokenizer(models.BPE(*_words_as_tokens()))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens(MARKERS[:3])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.add_tokens([MARKERS[3]], special_tokens=False)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def chat(tiny_folder: Path) -> ChatForm:
    """The tiny tokenizer's chat form."""
    return chat_form(PreTrainedTokenizerFast.from_pretrained(tiny_folder))
