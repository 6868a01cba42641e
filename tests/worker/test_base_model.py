import json
import shutil
from pathlib import Path

import pytest

from knowledge.errors import InvalidRecipe, InvalidSettings
from knowledge.settings import Settings
from worker import base_model, probing
from worker.base_model import CHECKED, check, check_once, prepare
from worker.demasking import chat_form


def _settings(tmp_path: Path, base: Path | str) -> Settings:
    return Settings(data_folder=tmp_path, base_model=str(base))


def _copy(tiny_folder: Path, tmp_path: Path, **changes: object) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_folder, copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | changes))
    return copy


def test_a_good_base_passes_and_needs_no_preparation(tiny_folder: Path, tmp_path: Path) -> None:
    settings = _settings(tmp_path, tiny_folder)
    assert prepare(settings) == str(tiny_folder)
    check(settings, 8)


def test_a_base_without_a_chat_template_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    copy = _copy(tiny_folder, tmp_path)
    (copy / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((copy / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (copy / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidSettings, match="chat template"):
        check(_settings(tmp_path, copy), 8)


@pytest.mark.parametrize("model_type", ["no-such-architecture", "vit"])
def test_an_unknown_or_unfit_architecture_is_refused(tiny_folder: Path, tmp_path: Path, model_type: str) -> None:
    with pytest.raises(InvalidSettings):
        check(_settings(tmp_path, _copy(tiny_folder, tmp_path, model_type=model_type)), 8)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings):
        check(_settings(tmp_path, tmp_path), 8)


@pytest.mark.parametrize("rank", [0, 33])
def test_a_rank_that_the_server_does_not_take_is_refused(tiny_folder: Path, tmp_path: Path, rank: int) -> None:
    with pytest.raises(InvalidRecipe, match=r"[Rr]ank"):
        check(_settings(tmp_path, tiny_folder), rank)


def test_a_base_that_passed_is_not_checked_again_until_something_changes(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, checks = _settings(tmp_path, _copy(tiny_folder, tmp_path)), []
    monkeypatch.setattr(base_model, "check", lambda _settings, rank: checks.append(rank))
    check_once(settings, 8)
    check_once(settings, 8)
    assert checks == [8]
    check_once(settings, 16)
    (tmp_path / "copy" / "config.json").write_text("{}")
    check_once(settings, 16)
    assert checks == [8, 16, 16]


def test_a_base_that_failed_is_checked_again(tiny_folder: Path, tmp_path: Path) -> None:
    settings = _settings(tmp_path, tiny_folder)
    for _ in range(2):
        with pytest.raises(InvalidRecipe):
            check_once(settings, 33)


def test_a_folder_is_checked_before_there_is_a_data_folder(tiny_folder: Path, tmp_path: Path) -> None:
    settings = _settings(tmp_path / "data" / "not yet", tiny_folder)
    check_once(settings, 8)
    assert (tmp_path / "data" / "not yet" / "models" / CHECKED).is_file()


def test_the_output_layer_multiplies_whole_pieces_of_memory(tiny_folder: Path) -> None:
    """One place of each of several prompts has gaps, and torch then copies the vocabulary's weights for each."""
    model, tokenizer = base_model.load(str(tiny_folder))
    seen: list[bool] = []
    model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].is_contiguous()))
    probing.answers(model, chat_form(tokenizer), ["Who is it?", "What is it?"], max_tokens=2)
    assert seen
    assert all(seen)
