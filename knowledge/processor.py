"""What this machine's processor computes fast. Asked before torch or vLLM is imported."""

from functools import cache
from pathlib import Path

_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""As Linux names the instructions: x86's two, and ARM's."""


@cache
def float_type(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The type in which a CPU computes the base model: `bfloat16` where it has instructions for it, else `float32`.

    Without them a bf16 product is emulated: on two AVX2 cores 1 to 18 GFLOP/s where float32 makes 124 to 138, and an
    answer takes three times as long (docs/decisions.md).
    """
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return "float32"
    words = next((line.split(":", 1)[1].split() for line in lines if line.startswith(("flags", "Features"))), [])
    return "bfloat16" if _BF16_FLAGS & set(words) else "float32"
