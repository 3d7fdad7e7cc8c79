"""Messages survive the trip whole, and what is no message is refused."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.extraction.wire import MAX_SIZE, BadMessageError, pack, unpack

MESSAGES = st.lists(st.binary(max_size=50), max_size=5)


@given(st.lists(MESSAGES, max_size=4))
def test_messages_come_back_in_order_and_then_none(messages: list[list[bytes]]) -> None:
    stream = io.BytesIO(b"".join(pack(*message) for message in messages))
    assert [unpack(stream.read) for _ in messages] == messages
    assert unpack(stream.read) is None


@given(MESSAGES, st.data())
def test_a_stream_that_ends_inside_a_message_is_refused(
    message: list[bytes], data: st.DataObject
) -> None:
    whole = pack(*message)
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(BadMessageError):
        unpack(io.BytesIO(whole[:cut]).read)


@pytest.mark.parametrize(
    "stream",
    [
        struct.pack("<I", MAX_SIZE + 1),
        struct.pack("<III", 8, 100, 0),
        struct.pack("<IH", 2, 0),
    ],
)
def test_sizes_that_cannot_be_are_refused(stream: bytes) -> None:
    with pytest.raises(BadMessageError):
        unpack(io.BytesIO(stream).read)
