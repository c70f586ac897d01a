import importlib.util
import struct
from dataclasses import replace

import pytest
from reports import html_of

from stream_al import ConfigError
from stream_al.replay.report import render, require_extra, require_writable, write_files


def size(path):
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", content[16:24])


def test_the_same_comparison_gives_the_same_files(single, tmp_path):
    for name in ("a", "b"):
        write_files(single, plot=tmp_path / f"{name}.png", html=tmp_path / f"{name}.html")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (
        (tmp_path / "a.html").read_text("utf-8")
        == (tmp_path / "b.html").read_text("utf-8")
        == html_of(single)
    )


def test_the_picture_has_a_row_for_each_model(single, grid, tmp_path):
    write_files(single, plot=tmp_path / "one.png")
    write_files(grid, plot=tmp_path / "two.png")
    assert size(tmp_path / "one.png") == (1800, 750)
    assert size(tmp_path / "two.png") == (1800, 1500)


@pytest.mark.parametrize("name", ["$\\nope{$", "two\nlines", "caf\udce9.csv", "数据.csv", "\x00", ""])
def test_any_name_can_be_drawn_and_written(single, tmp_path, name):
    write_files(replace(single, source=name), plot=tmp_path / "x.png", html=tmp_path / "x.html")
    assert size(tmp_path / "x.png") == (1800, 750)
    assert (tmp_path / "x.html").read_text("utf-8").startswith("<!doctype html>")


def test_a_missing_extra_is_named(monkeypatch, single):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for needs in (require_extra, lambda: render(single)):
        with pytest.raises(ConfigError, match=r"pip install 'stream-al\[plot\]'"):
            needs()
    require_writable({"--plot": None})


def test_a_path_that_cannot_be_written_is_refused_beforehand(tmp_path):
    for path in (tmp_path / "no" / "x.png", tmp_path):
        with pytest.raises(ConfigError, match=r"--plot .*: not a file in a directory that exists"):
            require_writable({"--plot": path})


def test_a_path_that_cannot_be_written_after_all_is_named(single, tmp_path):
    with pytest.raises(ConfigError, match=r"x\.png: .*; name another path"):
        write_files(single, plot=tmp_path / "no" / "x.png")
