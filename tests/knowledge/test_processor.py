from pathlib import Path

import pytest

from knowledge.processor import float_type


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flags\t\t: fpu sse2 avx2 fma", "float32"),
        ("flags\t\t: fpu avx2 avx512f avx512_bf16", "bfloat16"),
        ("flags\t\t: fpu avx2 avx512f amx_bf16", "bfloat16"),
        ("flags\t\t: fpu avx2 avx512f", "float32"),
        ("Features\t: fp asimd bf16", "bfloat16"),
        ("processor\t: 0", "float32"),
    ],
)
def test_bf16_is_chosen_where_the_processor_has_instructions_for_it(tmp_path: Path, line: str, expected: str) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\n{line}\n")
    assert float_type(cpuinfo) == expected


def test_a_system_that_does_not_tell_computes_in_float32(tmp_path: Path) -> None:
    assert float_type(tmp_path / "absent") == "float32"
