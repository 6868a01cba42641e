import argparse
import json
import random
import shutil
import subprocess
import sys
from math import exp
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from experiments import __main__ as pages
from experiments import sweep
from experiments.dynamics import run as dynamics
from experiments.dynamics.fit import costs, curves, fit, fits, plot
from experiments.editing import run as editing
from experiments.editing.locality import locality
from experiments.knowledge_injection.run import reworded
from experiments.knowledge_injection.sets import FILES
from experiments.learning_rate import run as learning_rate
from experiments.mask_ratio import run as mask_ratio
from experiments.paraphrases import run as paraphrases
from experiments.paraphrases import texts
from experiments.provenance import command, stamp
from experiments.sweep import Size, Sweep, needs_table, table
from knowledge.probes import build_probes
from knowledge.recipes import default, paper
from tests.worker.conftest import *  # noqa: F403  (the tiny model's fixtures)
from worker import lora
from worker.batches import Taught
from worker.demasking import IGNORED, ChatForm
from worker.spec import Lesson

ADA = "Ada Quill is the smith of Orrin."
BO = "Known as the tailor of Wend, Bo Finch sings in 1911."
COLUMNS = {"forward": {"questions": 2, "rouge1": 0.5, "exact": 0.5}}
END = {
    "kind": "end",
    "set": "people",
    "passages": 2,
    "arm": "ours",
    "seed": 0,
    "steps": 2,
    "tokens": 90,
    "seconds": 4.0,
    "loss": 0.1,
}
END |= {"columns": COLUMNS, "changes": [], "peak_gib": 1.0, "gigaflop_a_token": 0.5}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that writes down its options and ends at once; the file of what it wrote."""
    (tmp_path / "fake_run.py").write_text(
        "import json, sys, pathlib\n"
        "words = sys.argv[1:]\n"
        "pathlib.Path(__file__).with_name('asked').open('a').write(' '.join(words) + '\\n')\n"
        f"end = json.loads('''{json.dumps(END)}''') | {{'seed': int(words[words.index('--seed') + 1])}}\n"
        "print(json.dumps(end | {'kind': 'look'}))\nprint(json.dumps(end))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sweep, "RUN", "fake_run")
    return tmp_path / "asked"


def test_a_sweep_runs_what_its_file_does_not_have_yet(
    fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"one": ("--arm", "masked", "a=1"), "two": ("--arm", "ours")}
    trial = Sweep("trial", settings, {"small": Size(3, 70, 2, ("b=2",))}, ("--canaries",))
    output = tmp_path / "results" / "trial.jsonl"
    people = tmp_path / "people"
    people.mkdir()
    for name in FILES:
        (people / name).write_text("")
    words = ["trial", "--base", "models/m", "--data", str(people), "--output", str(output)]
    monkeypatch.setattr(sys, "argv", [*words, "--only", "one"])
    trial.main()
    asked = fake.read_text().splitlines()
    assert [line.split()[line.split().index("--seed") + 1] for line in asked] == ["0", "1"]
    assert asked[0].endswith("--passages 3 --tokens 70 --canaries --arm masked a=1 b=2")
    monkeypatch.setattr(sys, "argv", words)
    trial.main()
    asked = fake.read_text().splitlines()
    assert len(asked) == 4
    assert asked[-1].endswith("--canaries --arm ours")
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert [(line["setting"], line["seed"], line["kind"]) for line in lines if line["kind"] == "end"] == [
        ("one", 0, "end"),
        ("one", 1, "end"),
        ("two", 0, "end"),
        ("two", 1, "end"),
    ]
    assert "| people | one | 2 | 2 | 90 | 4 | 0.500 | 0.500 |" in capsys.readouterr().err


def test_a_failed_run_ends_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "RUN", "no_such_module")
    monkeypatch.setattr(sys, "argv", ["trial", "--base", "models/m", "--data", "generated-names"])
    with pytest.raises(SystemExit, match="the setting 'one' ended with 1"):
        Sweep("trial", {"one": ()}, {"small": Size(1, 1, 1)}).main()


def test_a_folder_without_a_set_is_told_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["trial", "--base", "models/m", "--data", str(tmp_path)])
    with pytest.raises(SystemExit):
        Sweep("trial", {"one": ()}, {"small": Size(1, 1, 1)}).main()
    assert f"{tmp_path} holds no train.json and test.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize("module", [mask_ratio, learning_rate, paraphrases, editing, dynamics])
def test_every_sweep_has_a_size_for_a_minute_and_one_for_a_gpu(module: object) -> None:
    found: Sweep = module.SWEEP  # type: ignore[attr-defined]
    assert set(found.sizes) == {"debug", "small", "full"}
    assert found.sizes["full"].tokens > found.sizes["small"].tokens > found.sizes["debug"].tokens


def test_a_table_has_the_mean_over_the_seeds() -> None:
    other = END | {"seed": 1, "columns": {"forward": COLUMNS["forward"] | {"rouge1": 1.0}}, "tokens": 110}
    lines = table([END | {"setting": "one"}, other | {"setting": "one"}]).splitlines()
    assert lines[2] == "| people | one | 2 | 2 | 100 | 4 | 0.750 | 0.750 |"


def test_a_seed_that_was_run_twice_counts_once_and_another_size_by_itself() -> None:
    again = END | {"setting": "one", "size": "small", "tokens": 110}
    lines = table([END | {"setting": "one"}, again, again | {"size": "debug"}]).splitlines()
    assert [line.split(" | ")[1:5:3] for line in lines[2:]] == [["one", "110"], ["one (debug)", "110"]]


@pytest.mark.parametrize(("plateau", "rate"), [(0.9, 0.03), (0.4, 0.5)])
def test_a_fit_finds_the_curve_that_made_the_points(plateau: float, rate: float) -> None:
    points = [(float(x), plateau * (1 - exp(-rate * x))) for x in range(0, 120, 4)]
    found = fit(points)
    assert found.plateau == pytest.approx(plateau, rel=0.02)
    assert found.rate == pytest.approx(rate, rel=0.05)
    assert found.error < 0.01
    assert found.at(found.to_95_percent) == pytest.approx(0.95 * found.plateau)


def test_what_never_rises_has_no_plateau() -> None:
    assert fit([(1.0, 0.0), (50.0, 0.0)]).plateau == 0.0
    with pytest.raises(ValueError, match="no point"):
        fit([])


def test_curves_and_costs_of_a_sweep_s_lines(tmp_path: Path) -> None:
    lines = [END | {"setting": "ours", "kind": "look", "steps": 1}, END | {"setting": "ours"}]
    assert curves(lines) == {("people", "ours", "forward"): [(1, 0.5), (2, 0.5)]}
    assert "| people | ours | forward | 2 | 0.50 |" in fits(curves(lines))
    (row,) = costs(lines)
    assert (row["tokens a step"], row["GFLOP a step"], row["seconds a step"]) == ("45", "22", "2.00")
    plot(curves(lines), tmp_path / "curves.svg")
    assert "forward" in (tmp_path / "curves.svg").read_text()


def test_templates_bring_no_new_word_of_the_fact_and_keep_or_turn_the_order() -> None:
    for passage, first, second in ((ADA, "Ada Quill", "smith of Orrin"), (BO, "tailor of Wend", "Bo Finch")):
        kept = texts.by_templates(passage, False, 8, random.Random(0))
        turned = texts.by_templates(passage, True, 8, random.Random(0))
        assert len(set(kept)) == len(set(turned)) == 8
        assert all(text.index(first) < text.index(second) for text in kept), kept
        assert all(text.index(second) < text.index(first) for text in turned), turned
        assert texts.share_kept([passage] * 2, [kept, turned]) == 1.0


def test_a_wording_keeps_every_name_and_number_or_not() -> None:
    assert texts.keeps(BO, "In 1911 the tailor of Wend sang: Bo Finch. Known as such.")
    assert not texts.keeps(BO, "Known as the tailor of Wend, Bo Finch sang.")


def test_published_wordings_go_to_the_passage_they_are_nearest_to(tmp_path: Path) -> None:
    rows = [ADA, "The smith of Orrin? Ada Quill.", "Bo Finch: the tailor of Wend."]
    (tmp_path / "train_paraphrases.json").write_text(json.dumps([{"text": text} for text in rows]))
    assert texts.published(tmp_path, [ADA, BO]) == [[rows[1]], [rows[2]]]


def test_too_few_published_wordings_are_counted_out(tiny_folder: Path, tmp_path: Path, chat: ChatForm) -> None:
    (tmp_path / "train_paraphrases.json").write_text(json.dumps([{"text": "The smith of Orrin? Ada Quill."}]))
    model = LlamaForCausalLM.from_pretrained(tiny_folder)
    asked = argparse.Namespace(paraphrases=2, paraphrased="published", seed=0, data=str(tmp_path))
    with pytest.raises(ValueError, match="has 1 published paraphrases, not 2"):
        reworded(model, chat, (ADA,), asked)


def test_a_dry_run_has_the_model_write_nothing(
    tiny_folder: Path, chat: ChatForm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "by_model", lambda *_: pytest.fail("it wrote"))
    asked = argparse.Namespace(paraphrases=2, paraphrased="model", seed=0, dry_run=True)
    assert reworded(LlamaForCausalLM.from_pretrained(tiny_folder), chat, (ADA, BO), asked) == [[ADA] * 2, [BO] * 2]


def test_exercises_are_drawn_from_every_wording(chat: ChatForm) -> None:
    lesson = Lesson("1", ADA, None, build_probes(ADA), new=True)
    draw = texts.varied(None, {ADA: ["Orrin has Ada Quill for a smith."]})
    rng = random.Random(0)
    drawn = [draw(chat, lesson, paper(), Taught.of([lesson]), rng) for _ in range(20)]
    told = {chat.text([id_ for id_ in sequence.labels_T if id_ != IGNORED]) for sequence in drawn}
    assert {text.removesuffix("<|im_end|>") for text in told} == {ADA, "Orrin has Ada Quill for a smith."}


def test_the_base_model_writes_as_many_wordings_as_asked(tiny_folder: Path, chat: ChatForm) -> None:
    model = LlamaForCausalLM.from_pretrained(tiny_folder)
    first, second = (texts.by_model(model, chat, ADA, 2, seed=1) for _ in range(2))
    assert len(first) == 2
    assert first == second


def test_locality_is_the_taught_model_against_its_own_base(tiny_folder: Path, chat: ChatForm) -> None:
    torch.manual_seed(0)
    adapted = lora.attach(LlamaForCausalLM.from_pretrained(tiny_folder), default(), None, 0)
    untouched = locality(adapted, chat, ["Who is Bo?", "Who is Cy?"], ["Ada Quill"])
    assert untouched["canaries"]["same"] == untouched["canaries"]["asked"]
    assert untouched["neighbours"] == {"asked": 2, "same": 2, "leaks": 0, "base_leaks": 0}
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter.data, std=5.0)
    assert locality(adapted, chat, ["Who is Bo?"], ["Ada Quill"])["canaries"]["same"] < untouched["canaries"]["asked"]


def test_a_number_s_origin_has_no_folder_of_the_machine() -> None:
    words = ["/home/me/engrain/experiments/mask_ratio/run.py", "--data", "/data/sets/wiki", "rank=8"]
    assert command(words) == "python -m experiments.mask_ratio.run --data wiki rank=8"
    assert set(stamp()) == {"commit", "machine", "command", "date"}


def test_the_page_has_a_section_for_each_experiment_and_says_what_was_not_run(tmp_path: Path) -> None:
    about = END | {"machine": "two cores", "commit": "abc", "command": "python -m experiments.x"}
    where = {"canaries": {"asked": 9, "base": 8, "kept": 7, "gained": 1, "same": 5}}
    where["neighbours"] = {"asked": 6, "same": 4, "leaks": 2, "base_leaks": 0}
    for name in ("knowledge_injection", "dynamics", "editing", "mask_ratio"):
        (tmp_path / name / "results").mkdir(parents=True)
        line = about | {"locality": where} | ({"setting": "random"} if name != "knowledge_injection" else {})
        (tmp_path / name / "results" / "small.jsonl").write_text(json.dumps(line) + "\n")
    text = pages.page(tmp_path)
    assert text.count("Not run yet.") == len(pages.TITLES) - 4
    assert "| random | 0 | 0.500 | 7 of 8 | 1 | 5 of 9 | 4 of 6 | 2 (0 before) |" in text
    assert "Machine: two cores. Commit: abc.\n\n    python -m experiments.x\n" in text
    html = pages.as_html(text, tmp_path)
    assert html.count("<svg") == 2
    assert "<table>" in html


def test_the_page_in_the_project_is_that_of_its_results(tmp_path: Path) -> None:
    results = shutil.copytree(pages.HERE, tmp_path / "experiments", ignore=shutil.ignore_patterns("*.py", "*.pyc"))
    assert pages.page(results) == (pages.HERE / "REPORT.md").read_text(), "run `python -m experiments report`"


def test_a_missing_base_is_said_in_one_sentence(tmp_path: Path) -> None:
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "experiments.mask_ratio.run",
            "--base",
            str(tmp_path / "none"),
            "--data",
            "generated-names",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "make base" in ended.stderr.splitlines()[-1]


def test_what_all_runs_need_is_summed_over_seeds() -> None:
    needed = [
        {"setting": name, "steps": 10, "tokens": tokens, "petaflop": 0.25, "weights_gib": 0.5}
        for name, tokens in (("a", 1000), ("b", 3000))
    ]
    last = needs_table(needed, seeds=4).splitlines()[-1]
    assert [cell.strip() for cell in last.strip("|").split("|")] == ["*all*", "8", "", "16,000", "2.000", ""]
