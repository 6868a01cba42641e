"""The retention drill over a service that answers from a table; a way of going on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaForCausalLM

from command.screen import Screen
from experiments.continual import drill
from experiments.continual.drill import RetentionDrill
from experiments.continual.holding import held_to_last
from experiments.quick.bench import read
from knowledge.probes import build_probes
from knowledge.recipes import default
from tests.worker.conftest import *  # noqa: F403  (the tiny model's fixtures)
from worker import lora, replay
from worker.canaries import CANARIES
from worker.demasking import IGNORED, ChatForm
from worker.spec import Lesson


class Service:
    """Learns what it is told at once; may forget a fact with each later version, or answer a superseded one."""

    def __init__(self) -> None:
        self.version = 0
        self.texts: dict[str, str] = {}
        self.keys: dict[str, str] = {}
        self.loses: dict[int, str] = {}
        self.keeps_superseded = False
        self.keeps_forgotten = False
        self.canaries_lost = 0

    def teach(self, documents: list[dict[str, Any]], namespace: str) -> dict[str, Any]:
        self.version += 1
        ids = []
        for document in documents:
            if (old := self.keys.get(document["key"])) and not self.keeps_superseded:
                self.texts.pop(old, None)
            fact_id = f"fact_{len(self.keys)}_{self.version}"
            self.keys[document["key"]] = fact_id
            self.texts[fact_id] = document["text"]
            ids.append({"id": fact_id})
        if words := self.loses.get(self.version):
            self.texts = {name: text for name, text in self.texts.items() if words not in text}
        return {"job_id": "job_1", "facts": ids}

    def delete(self, path: str) -> dict[str, Any]:
        self.version += 1
        if not self.keeps_forgotten:
            del self.texts[path.rpartition("/")[2]]
        return {"job_id": "job_1"}

    def job_events(self, _job_id: str) -> list[tuple[str, dict[str, Any]]]:
        tokens = [10, 20, 5, 15]  # two rounds
        return [("progress", {"tokens": number}) for number in tokens] + [("log", {"text": "1 of 1 new facts known"})]

    def get(self, path: str) -> dict[str, Any]:
        if path.startswith("/jobs"):
            times = {"started_at": "2026-01-01T00:00:00Z", "ended_at": "2026-01-01T00:01:30Z"}
            return {"status": "succeeded", "error": None, **times}
        return {"versions": [{"version": self.version, "status": "live"}]}

    def post(self, _path: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"answers": [{"answer": self._answer(question)} for question in body["questions"]]}

    def _answer(self, question: str) -> str:
        for number, canary in enumerate(CANARIES):
            if canary.question == question:
                return "no idea" if self.version and number < self.canaries_lost else canary.wanted[0]
        for fact in read("held_out_wide") + read("held_out_more"):
            for one in fact.asked:
                for old, new in (("", ""), *drill.SUPERSEDED.values()):
                    if one.question.replace(old, new) == question:
                        texts = [text for text in self.texts.values() if _same(text, fact.text)]
                        return " and ".join(_wanted(text, one.wanted.split("|")[0]) for text in texts) or "no idea"
        return "no idea"


def _same(text: str, original: str) -> bool:
    return any(text == original.replace(old, new) for old, new in (("", ""), *drill.SUPERSEDED.values()))


def _wanted(text: str, wanted: str) -> str:
    return next((new for old, new in drill.SUPERSEDED.values() if old == wanted and new in text), wanted)


def _run(service: Service) -> RetentionDrill:
    told = RetentionDrill(service, Screen(to_errors=True), 10, 3)  # type: ignore[arg-type]
    told.run()
    return told


def test_a_service_that_keeps_everything_passes() -> None:
    told = _run(Service())
    assert told.violations == []
    last = told.told()
    assert (last["batches"], last["facts"], last["superseded"], last["forgotten"]) == (10, 28, 2, 2)
    assert set(last["kept"].values()) == {1.0} and last["kept_of_all"] == 1.0
    assert last["canaries"]["kept"] == last["canaries"]["kept_by_weights"] == len(CANARIES)
    assert last["tokens"] == [35] * 12 and last["seconds"] == [90] * 12
    assert len(told.table().splitlines()) == 2 + 12


def test_a_fact_lost_by_a_later_batch_is_seen() -> None:
    service = Service()
    service.loses[7] = "Lena Marchetti"
    assert [words for words in _run(service).violations if words.startswith("batch 1 keeps")]


def test_a_superseded_answer_that_is_still_given_is_seen() -> None:
    service = Service()
    service.keeps_superseded = True
    assert any("superseded answer" in words for words in _run(service).violations)


def test_a_superseding_text_that_is_not_answered_from_is_seen() -> None:
    service = Service()
    service.loses[7] = "71 kilograms"
    assert any("the new answer is not given" in words for words in _run(service).violations)


def test_a_forgotten_fact_that_is_still_known_is_seen() -> None:
    service = Service()
    service.keeps_forgotten = True
    assert sum("forgotten and still known" in words for words in _run(service).violations) == 2


def test_general_questions_that_are_lost_are_seen() -> None:
    service = Service()
    service.canaries_lost = 10
    assert any("general questions are left" in words for words in _run(service).violations)


def test_earlier_facts_are_held_to_the_weights_that_a_run_began_with(tiny_folder: Path, chat: ChatForm) -> None:
    recipe = replace(default(), rank=4, rehearsal_share=0.0)
    adapted = lora.attach(LlamaForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32), recipe, None, 0)
    texts = {"Ada Quill is the smith of Orrin.": False, "Bo Finch is the tailor of Wend.": True}
    lessons = tuple(Lesson(text, text, None, build_probes(text), new=new) for text, new in texts.items())
    with held_to_last(adapted, lessons, 2):
        sequences = next(replay.held(chat, lessons, recipe, 0))
        assert len(sequences) == recipe.replay_count + recipe.foil_count + 2
        told = chat.text([label for label in sequences[-1].labels_T if label != IGNORED])
        assert told.removesuffix("<|im_end|>").casefold() in "ada quill is the smith of orrin."
        before = replay.teacher(adapted, chat, sequences)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter.data)
        changed = {name: parameter.clone() for name, parameter in adapted.named_parameters()}
        torch.testing.assert_close(replay.teacher(adapted, chat, sequences), before)
        assert all(torch.equal(parameter, changed[name]) for name, parameter in adapted.named_parameters())
    assert len(next(replay.held(chat, lessons, recipe, 0))) == recipe.replay_count + recipe.foil_count
