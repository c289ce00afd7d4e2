"""Learning delays from speech, measured: the runs behind docs/results.md.

    python benchmarks/speech_study/study.py select speech -o recordings
    delaytool encode recordings -o ten.h5
    delaytool encode FREE_SPOKEN_DIGITS -o digits
    python benchmarks/speech_study/study.py pack --digits digits --ten ten.h5 -o packs
    python benchmarks/speech_study/study.py unpack packs -o data
    python benchmarks/speech_study/study.py search --packs packs -o found --seconds 150 --jobs 12
    python benchmarks/speech_study/study.py choose found/results.jsonl
    python benchmarks/speech_study/study.py further --packs packs -o further --folds 0 1
    python benchmarks/speech_study/study.py rows --packs packs -o rows --seconds 240 --jobs 12
    python benchmarks/speech_study/study.py evaluate networks-*.tar --packs packs -o evaluated.jsonl

'search' screens settings and tries candidates on folds of the training part's speakers; 'choose' writes the best into
recipes/own.toml and recipes/augmented.toml; 'further' tries candidates that came up after it; 'rows' trains what the
tables compare; 'unpack' writes the HDF5 files that `delaytool train --data` and `measure_networks.py` read.
'evaluate' makes the lines of networks that were kept anew, where only the networks came back from another machine:
with the last epoch's accuracy, without curves. Each takes up what its folder has already; runs whose data have no
pack are left out. `--tiny` makes every run small, to see that all goes through; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import rows as tables
import search as choosing
import tomli_w
from jobs import RECIPES, evaluated_line
from runner import Runner, read_lines, unpack_networks
from spike_sets import differing_frames, pack, read_pack, write_hdf5, write_part
from study_data import DIGITS_SPEAKERS, FOLDS, HELD_OUT, StudyData

from delaytool.contract.encoding import InputEncoding
from delaytool.files import write_bytes_atomically
from delaytool.trainer.recipe import load_recipe, with_overrides

ENCODINGS = {
    "digits": InputEncoding(n_units=700, time_step_ms=10.0, channel_bins=5, start="first-spike"),
    "ten": InputEncoding(n_units=700, time_step_ms=10.0, channel_bins=5, start="zero"),
}
KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
TINY = ("trainer.epochs=2", "model.hidden=[8,8]", "trainer.average_epochs=0")
TINY_SAMPLES = 40
# Of the time of a search: the rest is for the candidates.
SCREENING_SHARE = 0.6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    packing = verbs.add_parser("pack", help="make the packs, and compare what comes out of them")
    packing.add_argument("--digits", type=Path, help="folder with train.h5 and test.h5 of the spoken digits")
    packing.add_argument("--ten", type=Path, help="file that `delaytool encode` made of the ten commands")
    packing.add_argument("-o", "--output", type=Path, required=True)
    unpacking = verbs.add_parser("unpack", help="write HDF5 files for `delaytool train --data`")
    unpacking.add_argument("packs", type=Path, help="folder with digits.pack and ten.pack")
    unpacking.add_argument("-o", "--output", type=Path, required=True)
    for name in ("search", "further", "rows"):
        verb = verbs.add_parser(name)
        verb.add_argument("--packs", type=Path, required=True)
        verb.add_argument("-o", "--output", type=Path, required=True)
        verb.add_argument("--seconds", type=float, default=float("inf"), help="after which no run goes on")
        verb.add_argument("--jobs", type=int, default=1, help="processes that train at once")
        verb.add_argument("--device", default="auto")
        verb.add_argument("--working", type=Path, help="where runs are while they train; default: a temporary folder")
        verb.add_argument(
            "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="in all runs"
        )
        verb.add_argument("--tiny", action="store_true")
    for name in ("search", "further"):
        verbs.choices[name].add_argument("--data", default="ten", help="what settings are chosen on")
    verbs.choices["further"].add_argument("--folds", nargs="+", type=int, choices=range(FOLDS), default=[*range(FOLDS)])
    verbs.choices["rows"].add_argument("--stages", nargs="+", default=["compare", "ablation", "delays", "structure"])
    verbs.choices["rows"].add_argument("--only", nargs="+", help="rows of these names alone")
    verbs.choices["rows"].add_argument("--seeds", type=int, help="the first seeds alone")
    selection = verbs.add_parser("select", help="the ten commands out of Speech Commands: its test list's ten keywords")
    selection.add_argument("speech", type=Path, help="the folder that `delaytool data speech-commands` made")
    selection.add_argument("-o", "--output", type=Path, required=True)
    evaluating = verbs.add_parser("evaluate", help="the lines of networks that were kept")
    evaluating.add_argument("archives", type=Path, nargs="+", help="networks-*.tar of 'rows'")
    evaluating.add_argument("--packs", type=Path, required=True)
    evaluating.add_argument("-o", "--output", type=Path, required=True, help="a file like results.jsonl")
    evaluating.add_argument("--device", default="auto")
    choice = verbs.add_parser("choose", help="write the recipes that a search has found")
    choice.add_argument("results", type=Path)
    options = parser.parse_args()
    actions = {
        "select": _select, "pack": _pack, "unpack": _unpack, "search": _search, "further": _further, "choose": _choose,
        "rows": _rows, "evaluate": _evaluate,
    }  # fmt: skip
    actions[options.verb](options)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder` that takes its name on success: a folder that is there is whole.

    Raises SystemExit where it is there already.
    """
    if folder.exists():
        raise SystemExit(f"{folder}: it is there already; remove it, or choose another name with -o")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        place = Path(temporary) / folder.name
        place.mkdir()
        yield place
        place.rename(folder)


def _select(options: argparse.Namespace) -> None:
    count = 0
    with whole_folder(options.output) as folder:
        for name in (options.speech / "testing_list.txt").read_text(encoding="utf-8").split():
            if name.partition("/")[0] in KEYWORDS:
                place = folder / name
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(options.speech / name, place)
                count += 1
    print(f"{options.output}: {count:,} recordings; next: delaytool encode {options.output} -o ten.h5")


def _pack(options: argparse.Namespace) -> None:
    options.output.mkdir(parents=True, exist_ok=True)
    for name, encoding in ENCODINGS.items():
        source = getattr(options, name)
        if source is None:
            continue
        path = options.output / f"{name}.pack"
        pack(source, path, encoding)
        settings = {} if name == "digits" else {"ear": True}
        with tempfile.TemporaryDirectory() as folder:
            write_hdf5(read_pack(path), Path(folder))
            unpacked = folder if source.is_dir() else str(Path(folder) / f"{name}.h5")
            differing = differing_frames(str(source), unpacked, settings, encoding)
        print(
            f"{path}: {path.stat().st_size:,} bytes; values of the frames, labels and speakers that differ: {differing}"
        )
        if any(differing.values()):
            sys.exit(1)


def _unpack(options: argparse.Namespace) -> None:
    """A folder of train.h5 and test.h5 for each name of study_data, and the whole of a set that has no parts."""
    data = StudyData(options.packs)
    with whole_folder(options.output) as output:
        for pack_name in ENCODINGS:
            if not (options.packs / f"{pack_name}.pack").exists():
                continue
            pack = data.pack(pack_name)
            events = pack.events()
            if "all" in events:
                write_hdf5(pack, output)
            speakers = DIGITS_SPEAKERS if pack_name == "digits" else ()
            for name in (pack_name, *(f"{HELD_OUT}{speaker}" for speaker in speakers)):
                folder = output / name
                folder.mkdir(parents=True, exist_ok=True)
                for part, some in zip(("train", "test"), data.cut(name, events), strict=True):
                    write_part(some, folder / f"{part}.h5", pack.ear)


def _runner(options: argparse.Namespace, working: str, begun: float) -> Runner:
    data = StudyData(options.packs, TINY_SAMPLES if options.tiny else None)
    return Runner(
        data, options.output, options.working or Path(working), options.device, options.jobs,
        begun + options.seconds, (*options.settings, *(TINY if options.tiny else ())),
    )  # fmt: skip


def _search(options: argparse.Namespace) -> None:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as working:
        runner = _runner(options, working, begun)
        runner.deadline = begun + SCREENING_SHARE * options.seconds
        pairs = zip(*(choosing.screening(space, options.data) for space in choosing.SPACES), strict=True)
        runner.run(job for pair in pairs for job in pair)
        runner.deadline = begun + options.seconds
        for space in choosing.SPACES:
            _print_effects(space, runner.lines)
        pairs = zip(*(choosing.candidates(space, options.data, runner.lines) for space in choosing.SPACES), strict=True)
        runner.run(job for pair in pairs for job in pair)
    for space in choosing.SPACES:
        best, settings, means = choosing.chosen(space, runner.lines)
        for row, (mean, error) in means.items():
            print(f"{row:<50} {mean:.2f} ± {error:.2f} %{'   chosen' if row == best else ''}")
        print("  " + " ".join(settings))


def _further(options: argparse.Namespace) -> None:
    begun = time.monotonic()
    jobs = choosing.further(options.data, options.folds)
    with tempfile.TemporaryDirectory() as working:
        runner = _runner(options, working, begun)
        runner.run(jobs)
    wanted = {job.name for job in jobs}
    found: dict[str, list[float]] = {}
    for line in runner.lines:
        if line["name"] in wanted and "error" not in line:
            found.setdefault(line["row"], []).append(100 * line["mean_of_last"])
    for row, values in found.items():
        print(f"{row:<55} {sum(values) / len(values):.2f} %, folds: {', '.join(f'{value:.2f}' for value in values)}")


def _print_effects(space: str, lines: list[dict]) -> None:  # type: ignore[type-arg]
    found = choosing.effects(space, lines)
    print(f"\n{space}: what each factor adds, in points of accuracy on speakers left out")
    for factor, points, error in zip(choosing.SPACES[space], found.points, found.error, strict=True):
        print(f"  {factor.name:<28} {points:+6.2f} ± {error:.2f}")


def _choose(options: argparse.Namespace) -> None:
    lines = read_lines(options.results)
    texts = {
        "own": ("ours", "Our recipe: chosen by cross-validation over speakers of the ten commands' training part"),
        "augmented": (
            "reference",
            "The paper's method with the settings that the reference formulation has too, augmentations\n"
            "# among them, chosen as own.toml is and with as many runs",
        ),
    }  # fmt: skip
    for name, (space, text) in texts.items():
        best, settings, means = choosing.chosen(space, lines)
        recipe = with_overrides(load_recipe(str(RECIPES / "paper.toml")), settings).model_dump(mode="json")
        base = load_recipe(str(RECIPES / "paper.toml")).model_dump(mode="json")
        changed = {
            section: differing
            for section in ("data", "model", "trainer")
            if (differing := {key: value for key, value in recipe[section].items() if value != base[section][key]})
        }
        mean, error = means[best]
        header = f"# {text}\n# (study.py search): {best}, {mean:.1f} ± {error:.1f} % on the folds.\n"
        body = tomli_w.dumps({"name": name, "extends": "paper.toml", **changed})
        write_bytes_atomically(RECIPES / f"{name}.toml", (header + body).encode())
        print(f"{RECIPES / f'{name}.toml'}:\n{header}{body}")


def _rows(options: argparse.Namespace) -> None:
    begun = time.monotonic()
    jobs = [
        job
        for job in tables.rows(options.stages)
        if (options.packs / f"{job.data.partition('-')[0]}.pack").exists()
        and (options.only is None or job.row in options.only)
        and (options.seeds is None or job.seed < options.seeds)
    ]
    with tempfile.TemporaryDirectory() as working:
        runner = _runner(options, working, begun)
        runner.run(jobs)
        runner.archive(jobs)
    print(f"{sum('error' not in line for line in runner.lines)} runs in {options.output / 'results.jsonl'}")


def _evaluate(options: argparse.Namespace) -> None:
    data = StudyData(options.packs)
    jobs = {job.name: job for job in tables.rows()}
    with tempfile.TemporaryDirectory() as folder:
        names = unpack_networks(options.archives, Path(folder))
        done = {line["name"] for line in read_lines(options.output)}
        for name in names:
            if name in done:
                continue
            line = evaluated_line(jobs[name], Path(folder) / name, data, options.device)
            with open(options.output, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(f"{name}: last {100 * line['last']:.2f} %", flush=True)


if __name__ == "__main__":
    main()
