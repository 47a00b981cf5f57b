"""scripts/api_reference: what users import is in it, documented; its links resolve, and it fetches nothing."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

import lts

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts" / "api_reference"

for needed in ("pdoc", "torch", "plotly"):
    if find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed", allow_module_level=True)


class Page(HTMLParser):
    """What a page has of links, anchors and documented names."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.documented: dict[str, str] = {}
        self._name = ""
        self._depth = 0  # of elements within a docstring
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if "id" in given:
            self.anchors.add(given["id"])
        if tag == "section" or given.get("class") == "classattr":
            self._name = given.get("id", "")  # none for the module
        if tag == "a":
            self.links.append(given.get("href", ""))
        elif "src" in given or tag == "link":
            self.fetched.append(given.get("src") or given.get("href", ""))
        if self._depth:
            self._depth += tag == "div"
        elif "docstring" in given.get("class", "").split():
            self._depth = 1

    def handle_endtag(self, tag: str) -> None:
        self._depth -= bool(self._depth) and tag == "div"

    def handle_data(self, data: str) -> None:
        if self._depth:
            self.documented[self._name] = self.documented.get(self._name, "") + data.strip()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder)], capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, ""), "built without a warning"
    return folder


@pytest.fixture(scope="module")
def pages(built: Path) -> dict[str, Page]:
    """The pages by module."""
    found = {
        path.relative_to(built).with_suffix("").as_posix().replace("/", "."): path for path in built.rglob("*.html")
    }
    return {name: Page(path) for name, path in found.items()}


def test_every_public_name_is_documented(pages: dict[str, Page]) -> None:
    for name in lts.__all__:
        if isinstance(getattr(lts, name), ModuleType):
            assert pages[f"lts.{name}"].documented[""], name
        elif name != "__version__":
            assert pages["lts"].documented.get(name), name
    assert lts.__version__ in (pages["lts"].path).read_text(encoding="utf-8")


def test_members_of_the_core_have_the_signatures_and_words_of_the_stub(pages: dict[str, Page]) -> None:
    documented = pages["lts"].documented
    assert documented["Architecture.d_ff"] == "Feed-forward width of each layer."
    assert documented["SearchSpace.sample"].startswith("Random architectures of the space, drawn independently.")
    text = pages["lts"].path.read_text(encoding="utf-8")
    assert "unknown</span>" not in text, "a signature that is not known"
    assert "_SupportsArray" not in text, "a type of NumPy written out"
    assert "self: lts._core" not in text, "a signature as pybind11 writes it, in a docstring"


def test_links_lead_somewhere(built: Path, pages: dict[str, Page]) -> None:
    by_path = {page.path: page for page in pages.values()}
    n_links = 0
    for page in pages.values():
        for link in page.links:
            if link.startswith("https://"):
                continue
            file, _, anchor = link.partition("#")
            target = (page.path.parent / file).resolve() if file else page.path
            assert target in by_path, (page.path.name, link)
            assert not anchor or anchor in by_path[target].anchors, (page.path.name, link)
            n_links += 1
    assert n_links > 1000
    assert 'url=./lts.html"' in (built / "index.html").read_text(encoding="utf-8")


def test_every_page_leads_to_every_module(pages: dict[str, Page]) -> None:
    modules = {page.path for name, page in pages.items() if name != "index"}
    for name, page in pages.items():
        if name != "index":
            assert {(page.path.parent / link.partition("#")[0]).resolve() for link in page.links} >= modules - {
                page.path
            }


def test_nothing_is_fetched(built: Path, pages: dict[str, Page]) -> None:
    for page in pages.values():
        assert all(source.startswith("data:") for source in page.fetched), page.fetched
        text = page.path.read_text(encoding="utf-8")
        assert not re.findall(r"@import|url\(\s*[\"']?(?!data:|[\"']?data:)\w+:", text)
        scripts = set(re.findall(r"script\.src = \"([^\"]+)\"", text))
        assert all((page.path.parent / script).resolve() == built / "search.js" for script in scripts)
        assert "import(" not in text
        assert "fetch(" not in text


def imported_names() -> Iterator[tuple[str, str]]:
    """What documents and examples for users import from lts: the module and the name."""
    texts = [path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]]
    blocks = [block for text in texts for block in re.findall(r"^```python\n(.*?)^```$", text, flags=re.M | re.S)]
    blocks += [path.read_text(encoding="utf-8") for path in (ROOT / "examples" / "python").rglob("*.py")]
    for block in blocks:
        for module, names in re.findall(r"^\s*from (lts(?:\.[\w.]+)?) import (\([^)]*\)|.*)$", block, flags=re.M):
            yield from ((module, name) for name in re.findall(r"\w+", re.sub(r"#.*| as \w+", "", names)))


def test_what_documents_import_is_in_it(pages: dict[str, Page]) -> None:
    wanted = sorted(set(imported_names()))
    assert wanted
    for module, name in wanted:
        if isinstance(getattr(importlib.import_module(module), name), ModuleType):
            assert f"{module}.{name}" in pages
        else:
            assert module in pages, f"scripts/api_reference leaves out {module}, which a document imports"
            assert name in pages[module].anchors, (module, name)


def test_wrong_arguments_are_told() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "the following arguments are required: folder" in done.stderr
