from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

import include.declarations as declarations
from scripts import reference_pages

REPOSITORY = Path(__file__).parents[2]


def build_page(folder, text):
    """Build a site of one page in the same strictness as the project's."""
    # Its tags of plugins are not plain YAML.
    written = (REPOSITORY / "mkdocs.yml").read_text()
    validation = yaml.safe_load(written[written.index("\nvalidation:") : written.index("\nnot_in_nav:")])
    (folder / "docs").mkdir()
    (folder / "docs" / "index.md").write_text(text)
    (folder / "mkdocs.yml").write_text(yaml.safe_dump({"site_name": "test", "strict": True} | validation))
    build(load_config(str(folder / "mkdocs.yml"), plugins=[]))


@pytest.mark.parametrize("link", ["[page](missing.md)", "[part](#missing)", "[folder](other/)"])
def test_broken_link_stops_the_build(tmp_path, link):
    with pytest.raises(Abort, match="1 warnings"):
        build_page(tmp_path, f"# Title\n\n{link}\n")


def test_page_with_sound_links_is_built(tmp_path):
    build_page(tmp_path, "# Title\n\n[part](#title)\n")
    assert (tmp_path / "site" / "index.html").exists()


def test_each_declaration_has_a_section():
    page = reference_pages.declarations_page()
    assert "## UseCase\n" in page
    assert "| `fewest_requests` | `int` | `20` | `ge=1` |" in page
    assert "| `Share` | `Annotated[float, Field(ge=0, le=1)]` |" in page
    assert page.count("\n## ") > len(declarations.__all__) / 2


def test_metrics_are_listed_with_labels_and_ending():
    assert "| `airworthy_requests_total` | counter | `role`, `status` |" in reference_pages.prometheus_page()


def test_commands_have_their_options_and_examples():
    page = reference_pages.commands_page()
    section = page[page.index("## `airworthy switch off`") :].partition("\n## ")[0]
    assert "`--fallback`" in section
    assert "\n      airworthy switch off" in section


def test_measurements_are_those_of_the_bench():
    assert "| `gateway_added_ms_p50` |" in reference_pages.measurements_page()
