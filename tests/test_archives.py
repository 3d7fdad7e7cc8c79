"""Archives are read in memory; names, kinds and sizes that could do harm are refused."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.archives import Limits, read_members
from corpus_builder.store.errors import IntegrityError

WORDS = st.text("abcXYZ09-_. é", min_size=1, max_size=8).filter(
    lambda word: word not in (".", "..")
)
PATHS = st.lists(WORDS, min_size=1, max_size=4).map("/".join)


def tar_of(*members: tuple[str | tarfile.TarInfo, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def zip_of(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members:
            archive.writestr(member, content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def read(archive: bytes | Path, limits: Limits | None = None) -> dict[str, bytes]:
    members = read_members(archive, lambda name: True, where="x", limits=limits or Limits())
    return dict(members)


@pytest.mark.parametrize("pack", [tar_of, zip_of])
@given(files=st.dictionaries(PATHS, st.binary(max_size=64), max_size=6))
def test_plain_files_come_back_as_they_went_in(pack, files: dict[str, bytes]) -> None:
    assert read(pack(*files.items())) == files


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_only_wanted_members_are_given_and_paths_work_as_bytes_do(pack, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(pack(("keep/a", b"1"), ("leave/b", b"2"), ("keep/c", b"3")))
    members = read_members(path, lambda name: name.startswith("keep/"), where="a")
    assert list(members) == [("keep/a", b"1"), ("keep/c", b"3")]


@pytest.mark.parametrize("pack", [tar_of, zip_of])
@pytest.mark.parametrize(
    "name", ["../up", "a/../../up", "/etc/passwd", "C:/windows", "a/..", "..", "a\\..\\up"]
)
def test_a_name_that_could_leave_the_folder_is_refused_even_unwanted(pack, name: str) -> None:
    with pytest.raises(IntegrityError, match="unsafe name"):
        list(read_members(pack((name, b"x")), lambda name: False, where="x"))


@given(before=st.lists(WORDS, max_size=3), after=st.lists(WORDS, max_size=3))
def test_a_parent_step_is_refused_wherever_it_stands(before: list[str], after: list[str]) -> None:
    with pytest.raises(IntegrityError, match="unsafe name"):
        read(tar_of(("/".join([*before, "..", *after]), b"")))


@pytest.mark.parametrize(
    "member",
    [
        special("link", tarfile.SYMTYPE, "/etc/passwd"),
        special("hard", tarfile.LNKTYPE, "other"),
        special("device", tarfile.CHRTYPE),
        special("disk", tarfile.BLKTYPE),
        special("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda member: member.name,
)
def test_links_and_devices_are_refused_where_wanted_and_passed_over_elsewhere(member) -> None:
    archive = tar_of((member, b""), ("plain", b"x"))
    with pytest.raises(IntegrityError, match="not a plain file"):
        read(archive)
    plain = read_members(archive, lambda name: name == "plain", where="x")
    assert dict(plain) == {"plain": b"x"}


def test_a_symbolic_link_in_a_zip_is_refused() -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with pytest.raises(IntegrityError, match="not a plain file"):
        read(zip_of((info, b"/etc/passwd")))


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_limits_hold_exactly(pack) -> None:
    two = pack(("a", bytes(1000)), ("b", bytes(1000)))
    assert len(read(two, Limits(members=2, member_bytes=1000))) == 2
    with pytest.raises(IntegrityError, match="more than 1 members"):
        read(two, Limits(members=1))
    with pytest.raises(IntegrityError, match="over 999 bytes"):
        read(two, Limits(member_bytes=999))
    with pytest.raises(IntegrityError, match="decompresses to more than 1500 bytes"):
        read(two, Limits(total_bytes=1500))


def test_what_is_passed_over_counts_against_the_total_too() -> None:
    bomb = tar_of(("bomb", bytes(50 << 20)), ("wanted", b"x"))
    assert len(bomb) < 100_000
    with pytest.raises(IntegrityError, match="decompresses to more than"):
        list(
            read_members(
                bomb, lambda name: name == "wanted", where="x", limits=Limits(10, 9, 1 << 20)
            )
        )


def test_a_zip_that_understates_a_size_is_refused() -> None:
    honest = zip_of(("bomb", bytes(100_000)))
    lying = honest.replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lying != honest
    with pytest.raises(IntegrityError):
        read(lying, Limits(member_bytes=1000))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_a_member_that_comes_twice_is_refused(pack) -> None:
    with pytest.raises(IntegrityError, match="twice"):
        read(pack(("a", b"1"), ("a", b"2")))


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_folders_are_counted_but_not_given(pack) -> None:
    folder = special("d", tarfile.DIRTYPE) if pack is tar_of else zipfile.ZipInfo("d/")
    archive = pack((folder, b""), ("d/a", b"1"))
    assert read(archive) == {"d/a": b"1"}
    with pytest.raises(IntegrityError, match="more than 1 members"):
        read(archive, Limits(members=1))


@pytest.mark.parametrize(
    "broken",
    [b"", b"not an archive", gzip.compress(b"not a tar" * 100), tar_of(("a", bytes(5000)))[:-20],
     zip_of(("a", b"x" * 500))[:-30]],
    ids=["empty", "text", "gzip", "truncated-tar", "truncated-zip"],
)  # fmt: skip
def test_a_broken_archive_is_an_integrity_error(broken: bytes) -> None:
    with pytest.raises(IntegrityError, match="x: cannot be read as an archive"):
        read(broken)
