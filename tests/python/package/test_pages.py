"""The pages of docs: an index of all of them, a glossary, and what adding-a-family.md says of files and tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lts

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
FAMILY = DOCS / "adding-a-family.md"
GLOSSARY = DOCS / "glossary.md"


def rows(text: str) -> list[list[str]]:
    """Cells of the rows of all tables in a text, without their heads."""
    lines = [line for line in re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S).splitlines() if line.startswith("|")]
    split = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines]
    rules = [i for i, cells in enumerate(split) if all(re.fullmatch("-+", cell) for cell in cells)]
    return [cells for i, cells in enumerate(split) if i not in rules and i + 1 not in rules]


# --- How to add a family ---


def test_the_files_it_names_exist() -> None:
    text = FAMILY.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:cpp|bindings|python|tests|docs|scripts)/[\w./-]+)`", text))
    assert len(named) > 20
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
    for row in rows(text):  # "`x.py` beside it"
        for name in re.findall(r"`(\w+\.py)`", row[1]):
            assert (ROOT / row[0].strip("`")).with_name(name).is_file(), name
    for sentence, file in (
        ("`_NAMES`", "python/lts/export/gguf_tensors.py"),
        ("`_add_metadata`", "python/lts/export/gguf.py"),
        ("`kFamilies`", "cpp/src/architecture.cpp"),
        ("`FORMS`", "python/lts/export/forms.py"),
    ):
        assert sentence in text
        assert re.search(rf"\b{sentence.strip('`')}\b", (ROOT / file).read_text(encoding="utf-8"))
    assert re.search(r"^_KINDS\b", (ROOT / "python/lts/spaces/huggingface.py").read_text(encoding="utf-8"), flags=re.M)


def table_after(words: str) -> list[str]:
    text = FAMILY.read_text(encoding="utf-8").partition(words)[2]
    found = re.search(r"(?:^\|.*\n)+", text, flags=re.M)
    assert found, words
    return [row[0].strip("`") for row in rows(found[0])]


@pytest.mark.parametrize("name", table_after("go through all families by themselves"))
def test_tests_that_go_through_all_families_do(name: str) -> None:
    texts = [(ROOT / name).read_text(encoding="utf-8")]
    for module in re.findall(r"from (\w+) import", texts[0]) + re.findall(r'#include "(\w+)\.hpp"', texts[0]):
        texts += [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob(f"{module}.[hp][py]*")]
    assert any("families()" in text for text in texts)


@pytest.mark.parametrize("name", table_after("ask for the family by name"))
def test_tests_that_ask_for_a_family_have_all_of_them(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for family in lts.families():
        if not family.encoder and not (name.endswith("test_in_place.py") and family.position == "relative"):
            assert f'"{family.name}"' in text, f"{name} lacks {family.name}"


def test_every_trait_of_the_row_in_the_page_exists() -> None:
    (block,) = re.findall(r"^```cpp\n(.*?)^```$", FAMILY.read_text(encoding="utf-8"), flags=re.M | re.S)
    header = (ROOT / "cpp/include/lts/architecture.hpp").read_text(encoding="utf-8")
    family = header[header.index("struct Family {") :].partition("};")[0]
    members = re.findall(r"^  [\w:]+ (\w+)(?: =|;)", family, flags=re.M)
    given = re.findall(r"\.(\w+) = ", block)
    assert [name for name in members if name in given] == given, "in the order of the members, as C++ demands"
    for kind, value in re.findall(r"= (\w+)::(\w+)", block):
        assert re.search(rf"enum class {kind} [^}}]*\b{value}\b", header), (kind, value)


# --- Index and glossary ---


def test_the_index_has_every_page_with_its_title() -> None:
    found = rows((DOCS / "README.md").read_text(encoding="utf-8"))
    listed = {}
    for link, line in found:
        title, path = re.fullmatch(r"\[([^\]]+)\]\(([^)]+)\)", link).groups()  # type: ignore[union-attr]
        assert line, path
        assert path not in listed, f"{path} is listed twice"
        listed[path] = title
    pages = {path.name: path.read_text(encoding="utf-8") for path in DOCS.glob("*.md") if path.name != "README.md"}
    assert set(pages) == {path for path in listed if "/" not in path}
    for name, text in pages.items():
        assert text.removeprefix("# ").startswith(listed[name]), f"{name} has another title"


def test_the_readme_leads_to_every_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = {path.partition("#")[0] for path in re.findall(r"\]\(docs/([^)]+)\)", text)}
    assert linked >= {path.name for path in DOCS.glob("*.md")}


def test_the_glossary_has_one_sentence_for_each_word() -> None:
    found = rows(GLOSSARY.read_text(encoding="utf-8"))
    words = [row[0] for row in found]
    assert len(words) == len(set(words)) > 40
    for word, meaning, _ in found:
        assert re.fullmatch(r"[A-Z][^.]*(?:\.(?=\w)[^.]*)*\.", re.sub(r"\]\([^)]*\)", "", meaning)), (
            f"{word}: {meaning}"
        )


def test_the_words_of_the_glossary_are_in_use() -> None:
    pages = [path for path in DOCS.glob("*.md") if path != GLOSSARY]
    code = [*(ROOT / "python" / "lts").rglob("*.py"), *(ROOT / "cpp" / "include").rglob("*.h*")]
    text = " ".join(path.read_text(encoding="utf-8").lower() for path in (ROOT / "README.md", *pages, *code))
    for word, *_ in rows(GLOSSARY.read_text(encoding="utf-8")):
        assert re.search(rf"\b{word.lower().replace(' ', '[ _]')}(?:s|ed)?\b", text), word
    for name in re.findall(r"`([a-z_]+)`", GLOSSARY.read_text(encoding="utf-8")):
        assert name in lts.analytic_names() or name in [family.name for family in lts.families()], name


def test_states_and_provenances_of_the_glossary_are_all_of_them() -> None:
    from typing import get_args

    from lts.measure.outcome import Provenance
    from lts.measure.trial import TrialState

    meaning = {row[0]: row[1] for row in rows(GLOSSARY.read_text(encoding="utf-8"))}
    assert all(state in meaning["trial"] for state in get_args(TrialState))
    assert all(kind in meaning["provenance"] for kind in get_args(Provenance))
