"""Arms whose documents differ are read in the base's places."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trials import Tried, recipe, tried

from corpus_builder.recipe import load_recipe
from corpus_builder.recipe_trial import BASE_ARM
from corpus_builder.trial.arms import plan_arms
from corpus_builder.trial.data import ArmData, allocations_of, arm_data
from corpus_builder.trial.pairing import PLACE, Alignment, Places, matches, places_of

ARMS = {
    "no-dedup": {"corpora.notes.dedup": "off"},
    "stricter": {"corpora.notes.filter.gopher.n_words.min": 155},
}


@pytest.fixture(scope="module")
def paired(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    content = recipe(documents, ARMS, target={"code": 1}, tokens=1_600)
    return tried(content, tmp_path_factory.mktemp("paired"))


@pytest.fixture(scope="module")
def data(paired: Tried) -> dict[str, ArmData]:
    arms = plan_arms(load_recipe(paired.out / "recipe.yaml"), paired.out)
    return {arm.name: arm_data(arm, allocations_of(arm, 6_000)) for arm in arms}


def texts(data: ArmData, index: Any) -> list[bytes]:
    from corpus_builder.store.arrow_streams import SequenceFiles

    rows = SequenceFiles([*data.stores["notes"]]).take(np.asarray(index, np.int64))
    return [row.tobytes() for row in rows]


def test_places_are_unique_and_name_the_document_at_the_middle(data: dict[str, ArmData]) -> None:
    for found in data.values():
        places = places_of(found.places["notes"], 64)
        assert len(np.unique(places)) == len(places) > 100


IDS = [bytes(16), b"\x00" * 15 + b"\x01", b"\x01" + b"\x00" * 15, b"\xff" * 16, b"\x7f" * 16]
PLACES = st.lists(st.tuples(st.sampled_from(IDS), st.integers(0, 3) | st.just(256)), max_size=30)


def by_dictionary(base: Places, arm: Places) -> list[int]:
    known = {place.tobytes(): index for index, place in enumerate(arm)}
    return [known.get(place.tobytes(), -1) for place in base]


@given(PLACES, PLACES)
def test_matches_are_those_of_a_dictionary(
    base: list[tuple[bytes, int]], arm: list[tuple[bytes, int]]
) -> None:
    """Also where a place is there twice: the arm's last sequence."""
    ours, theirs = np.array(base, PLACE), np.array(arm, PLACE)
    found = matches(ours, theirs)
    assert found.dtype == np.int64
    assert found.tolist() == by_dictionary(ours, theirs)


def test_matching_takes_less_memory_than_a_dictionary() -> None:
    dice = np.random.default_rng(1)
    places = np.frombuffer(dice.bytes(PLACE.itemsize * 50_000), PLACE)
    tracemalloc.start()
    found = matches(places, places[::-1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.tolist() == [*range(49_999, -1, -1)]
    assert peak < 100 * len(places)


@pytest.mark.parametrize("arm", [*ARMS])
def test_each_sequence_is_read_as_often_as_without_pairing(
    data: dict[str, ArmData], arm: str
) -> None:
    (found,) = data[arm].alignments(0, data[BASE_ARM]).values()
    for epoch in (0, 1):
        labels = found.labels(epoch)
        assert sorted(labels.tolist()) == list(range(len(labels)))
    assert (found.labels(0) != found.labels(1)).any()


@pytest.mark.parametrize("arm", [*ARMS])
def test_most_slots_hold_the_base_s_text(data: dict[str, ArmData], arm: str) -> None:
    """Tokens in common, of sequences in the same slot; without pairing there are hardly any."""
    base = data[BASE_ARM]
    (found,) = data[arm].alignments(0, base).values()
    order, theirs = found.order.sequences(), found.base.sequences()
    notes = found.order.names.index("notes")
    first = (order.corpus == notes) & (order.epoch == 0) & (theirs.epoch == 0)
    plain, read = order.index[first], found.labels(0)[order.index[first]]
    wanted = texts(base, theirs.index[first])

    def alike(index: Any) -> float:
        same = [
            np.intersect1d(np.frombuffer(a, np.uint16), np.frombuffer(b, np.uint16)).size
            / np.unique(np.frombuffer(a, np.uint16)).size
            for a, b in zip(wanted, texts(data[arm], index), strict=True)
        ]
        return float(np.mean(same))

    assert alike(read) > alike(plain) + 0.08


def test_alignments_travel_to_workers(data: dict[str, ArmData]) -> None:
    (found,) = data["no-dedup"].alignments(3, data[BASE_ARM]).values()
    again: Alignment = pickle.loads(pickle.dumps(found))  # noqa: S301 - our own
    assert (again.labels(0) == found.labels(0)).all()
    assert again.identity == found.identity


def test_the_report_says_which_corpora_are_read_so(paired: Tried) -> None:
    for arm in ARMS:
        assert paired.report.pairing[arm]["aligned"] == ["notes"]
        assert 0.5 < paired.report.pairing[arm]["same_sequences"] <= 1
    runs = {name.rpartition("-")[0] for name in paired.folders}
    assert runs == {f"{arm}-{seed}" for arm in (BASE_ARM, *ARMS) for seed in (0, 1)}
