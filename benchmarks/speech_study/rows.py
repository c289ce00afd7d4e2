"""The runs behind the tables, in the order in which they are worth their time.

compare     the paper's recipe, ours, and the reference formulation with and without the augmentations, on all data
ablation    our recipe without each of its ingredients
delays      our recipe with other kinds of delays, and with other longest ones
structure   our recipe with few synapses: DEEP R, RigL's two rules, a mask drawn once; learned, fixed or chosen delays
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jobs import RECIPES, Job
from study_data import DIGITS_SPEAKERS, HELD_OUT

from delaytool.trainer.recipe import load_recipe

SEEDS = 5
# Of ablation, delays and structure.
FEW_SEEDS = 3
LONGEST_DELAYS = (0, 5, 10, 20, 40, 60)
SPARSITIES = (0.9, 0.95, 0.99)
CANDIDATES = 8
NO_DECAY = ("trainer.weight_decay=0", "trainer.l1=1e-5")

# name of the row: (recipe, trained by the reference formulation)
COMPARED = {
    "own": ("own", False),
    "paper": ("paper", False),
    "reference": ("paper", True),
    "augmented": ("augmented", False),
    "reference, augmented": ("augmented", True),
}
KINDS_OF_DELAYS = {
    "none": ("model.delays=none",),
    "fixed-random": ("model.delays=fixed-random",),
    "dense": ("model.delays=dense",),
    "axonal": ("model.delays_per=presynaptic",),
    "dendritic": ("model.delays_per=postsynaptic",),
}
KINDS_WITH_STRUCTURE = {
    "learned": ("model.delays=learned", "model.delays_per=synapse"),
    "fixed-random": ("model.delays=fixed-random", "model.delays_per=synapse"),
}


def rows(stages: Iterable[str] = ("compare", "ablation", "delays", "structure")) -> list[Job]:
    """All runs of some tables, first what is needed most."""
    rounds: list[Iterator[Job]] = []
    for seed in range(SEEDS):
        rounds.append(compare(seed, ("ten", HELD_OUT)))
        if seed < FEW_SEEDS:
            rounds += [delays(seed), ablation(seed, "ten"), structure(seed, SPARSITIES[:1])]
    rounds += [structure(seed, SPARSITIES[2:]) for seed in range(FEW_SEEDS)]
    rounds += [compare(seed, ("digits",)) for seed in range(SEEDS)]
    rounds += [structure(seed, SPARSITIES[1:2]) for seed in range(FEW_SEEDS)]
    rounds += [ablation(seed, HELD_OUT) for seed in range(FEW_SEEDS)]
    wanted = set(stages)
    return [job for jobs in rounds for job in jobs if job.stage in wanted]


def compare(seed: int, data: Iterable[str]) -> Iterator[Job]:
    for name in data:
        for row, (recipe, reference) in COMPARED.items():
            yield Job("compare", row, of_seed(name, seed), seed, recipe, reference=reference, keep=not reference)


def of_seed(data: str, seed: int) -> str:
    """Where a speaker is held out, every seed has another one."""
    return f"{HELD_OUT}{DIGITS_SPEAKERS[seed]}" if data == HELD_OUT else data


def ablation(seed: int, data: str) -> Iterator[Job]:
    for name, settings in ingredients().items():
        yield Job("ablation", f"without {name}", of_seed(data, seed), seed, "own", settings, keep=data == "ten")


def ingredients() -> dict[str, tuple[str, ...]]:
    """By what our recipe differs from the paper's: each name, and the settings that take it away."""
    from search import SPACES

    own, paper = (load_recipe(str(RECIPES / f"{name}.toml")).model_dump(mode="json") for name in ("own", "paper"))
    found = {}
    for factor in SPACES["ours"]:
        keys = [setting.partition("=")[0].split(".") for setting in (*factor.low, *factor.high)]
        if any(own[section][key] != paper[section][key] for section, key in keys):
            low = [setting.partition("=")[0].split(".") for setting in factor.low]
            found[factor.name] = tuple(f"{section}.{key}={_toml(paper[section][key])}" for section, key in low)
    return found


def _toml(value: object) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def delays(seed: int) -> Iterator[Job]:
    for name, settings in KINDS_OF_DELAYS.items():
        over = () if "delays_per" in settings[0] else ("model.delays_per=synapse",)
        yield Job("delays", name, "ten", seed, "own", (*over, *settings), keep=True)
    for longest in LONGEST_DELAYS:
        # Every layer runs on for as long as it does in the paper, also where delays are shorter.
        settings = (f"model.max_delay={longest}", f"model.tail_steps={max(12, longest // 2)}")
        yield Job("delays", f"to {longest}", "ten", seed, "own", settings, keep=True)
    recurrence = ("model.recurrent=true", "model.recurrent_max_delay=24")
    yield Job("delays", "recurrent", "ten", seed, "own", recurrence, keep=True)


def structure(seed: int, sparsities: Iterable[float]) -> Iterator[Job]:
    """At 0.99 the readout stays whole: of its synapses a hundredth are 13, by which 10 classes are not learned."""
    for sparsity in sparsities:
        is_sparsest = sparsity >= 0.99
        epochs = (f"trainer.epochs={60 if is_sparsest else 40}", "trainer.average_epochs=0")
        shares = f"[{sparsity},{sparsity},0]" if is_sparsest else f"{sparsity}"
        for delays_are, kind in KINDS_WITH_STRUCTURE.items():
            for rewiring in ("none", "deep-r", "rigl", "rigl-signed"):
                settings = (*kind, *epochs, f"model.sparsity={shares}", f"model.rewiring={rewiring}")
                settings += () if rewiring == "none" else NO_DECAY
                yield Job("structure", f"{sparsity} {delays_are} {rewiring}", "ten", seed, "own", settings, keep=True)
        share, whole = (1 - (1 - each) / CANDIDATES for each in (sparsity, 0))
        shares = f"[{share:.6f},{share:.6f},{whole}]" if is_sparsest else f"{share:.6f}"
        chosen = (
            *KINDS_WITH_STRUCTURE["fixed-random"], *epochs, f"model.kernel_count={CANDIDATES}",
            f"model.sparsity={shares}", "model.rewiring=rigl-signed", *NO_DECAY,
        )  # fmt: skip
        yield Job("structure", f"{sparsity} chosen rigl-signed", "ten", seed, "own", chosen, keep=True)
