"""Which pieces of a user's own texts are scored."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.trial.data import pieces, spread


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(1, 40))
def test_every_text_has_a_piece_where_so_many_are_scored(sizes: list[int], most: int) -> None:
    ids = [bytes([number]) for number, size in enumerate(sizes) for _ in range(size)]
    if len(ids) <= most:
        return
    chosen = spread(ids, most)
    assert len(chosen) == most and chosen == sorted({*chosen})
    assert len({ids[i] for i in chosen}) == min(len(sizes), most)


def test_the_rest_is_evenly_spaced_over_the_longer_texts() -> None:
    ids = [b"a"] * 100 + [b"b"]
    assert spread(ids, 5) == [0, 1, 34, 67, 100]


@given(st.text(alphabet="ab\n", max_size=60), st.integers(1, 9))
def test_pieces_joined_are_the_text(text: str, longest: int) -> None:
    found = pieces(text, longest)
    assert "".join(found) == text and all(len(part) <= longest for part in found)
