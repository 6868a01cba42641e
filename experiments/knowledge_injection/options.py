"""The options that every way of teaching a set has, and the set that they name."""

import argparse
from pathlib import Path

from experiments.knowledge_injection.generated import GENERATED, generate
from experiments.knowledge_injection.sets import FILES, InjectionSet, read

DEFAULT_PASSAGES = 60


def of_a_model(parser: argparse.ArgumentParser) -> None:
    """Adds the base model."""
    parser.add_argument("--base", type=prepared, required=True, help="the prepared base model: a folder or hub name")


def prepared(name: str) -> str:
    """A folder that is there, or what may be a name of the hub. Raises `argparse.ArgumentTypeError`."""
    if not Path(name).is_dir() and name.count("/") != 1:
        raise argparse.ArgumentTypeError(f"there is no folder {name}; `make base` prepares the embedded model")
    return name


def of_data(parser: argparse.ArgumentParser) -> None:
    """Adds the set."""
    generated = ", ".join(GENERATED)
    parser.add_argument("--data", type=at_hand, required=True, help=f"the set's folder, or one of {generated}")


def at_hand(name: str) -> str:
    """A folder that holds a set, or a generated set's name. Raises `argparse.ArgumentTypeError`."""
    if name not in GENERATED and not all((Path(name) / file).is_file() for file in FILES):
        told = f"{name} holds no {' and '.join(FILES)}; give the folder of one set, or one of {', '.join(GENERATED)}"
        raise argparse.ArgumentTypeError(told)
    return name


def of_a_set(parser: argparse.ArgumentParser) -> None:
    """Adds the set, how much of it, and the seed."""
    of_data(parser)
    parser.add_argument("--passages", type=int, default=0, help="teach only so many, spread evenly")
    parser.add_argument("--questions", type=int, default=0, help="ask at most so many at the end")
    parser.add_argument("--look-questions", type=int, default=80, help="ask at most so many on the way")
    parser.add_argument("--seed", type=int, default=0)


def of_a_process(parser: argparse.ArgumentParser, look_minutes: float) -> None:
    """Adds what a run of one process can be told besides."""
    parser.add_argument("--look-minutes", type=float, default=look_minutes, help="minutes of training between looks")
    parser.add_argument("--look-steps", type=int, default=0, help="look every so many steps instead")
    parser.add_argument("--threads", type=int, default=0, help="processor threads; 0: all")
    parser.add_argument("--answers", type=Path, help="also write every question with its answer here, as JSON lines")


def chosen(arguments: argparse.Namespace) -> tuple[InjectionSet, InjectionSet]:
    """The whole set, and the part of it that is taught and asked.

    A generated one has twice as many passages as are taught, so that there are neighbours that are not. Raises like
    `sets.read`.
    """
    name, passages = arguments.data, arguments.passages
    if name in GENERATED:
        passages = passages or DEFAULT_PASSAGES
        whole = generate(name, 2 * passages, seed=0)
    else:
        whole = read(Path(name))
    return whole, whole.part(passages, arguments.questions, arguments.seed)
