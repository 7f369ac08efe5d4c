"""A page read before is the same page, and a cache in the way is no error."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.definition import cache, format, reader
from tallystick.definition.shapes import FileFaults

TEXTS = {path.name: path.read_text(encoding="utf-8") for path in reader.packaged_folder().glob("*.yaml")}


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_page_from_the_cache_is_the_page(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_CACHE", str(tmp_path / "cache"))
    parse = format.parse
    read = parse(TEXTS[name], FileFaults(name))
    assert cache.parse(TEXTS[name], FileFaults(name)) == read
    (kept,) = (tmp_path / "cache").iterdir()
    monkeypatch.setattr(format, "parse", lambda *_: pytest.fail("it was read again"))
    assert cache.parse(TEXTS[name], FileFaults(name)) == read
    kept.write_text("[1,2", encoding="utf-8")
    monkeypatch.setattr(format, "parse", parse)
    assert cache.parse(TEXTS[name], FileFaults(name)) == read


def test_a_page_with_faults_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_CACHE", str(tmp_path / "cache"))
    for _ in range(2):
        faults = FileFaults("x")
        cache.parse("machine: x\nstatus: 1\n", faults)
        assert "unknown key 'status'" in str(faults.found[0])
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    for where in (str(tmp_path / "file"), "off"):
        monkeypatch.setenv("TALLYSTICK_CACHE", where)
        assert reader.load()["payment"].name == "payment"
