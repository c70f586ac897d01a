"""What the page weighs: a number of the README that must stay true."""

import subprocess
import sys

from page_servers import ROOT

from stream_al.annotate.server import HERE


def test_the_page_is_small():
    static = {path.name: path.stat().st_size for path in (HERE / "static").iterdir()}
    pages = sum(path.stat().st_size for path in (HERE / "pages").iterdir())
    scripts = {name: size for name, size in static.items() if name.endswith(".js")}
    assert sum(scripts.values()) - scripts["dashboard.js"] - scripts["curve.js"] < 20_000
    assert sum(static.values()) + pages < 100_000


def test_nothing_is_loaded_from_elsewhere():
    for path in [*(HERE / "static").glob("*.[jc]s*"), *(HERE / "pages").iterdir()]:
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text
        assert "https:" not in text


def test_the_server_imports_no_river():
    code = (
        "import sys, connectors.sqlite.board, connectors.sqlite.figures, stream_al.cli.app, stream_al.config; "
        "import connectors.sqlite.relayed, connectors.kafka.lookup, connectors.kafka.relay; "
        "import stream_al.annotate.dashboard, stream_al.annotate.doors; "
        "assert not {'river', 'numpy', 'pandas', 'scipy'} & set(sys.modules), 'too much'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
