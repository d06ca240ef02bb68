from __future__ import annotations

from contextlib import suppress

import pytest

from include.stack.demo.console import DemoConsole


@pytest.fixture
def console():
    return DemoConsole()


def test_details_are_printed_once_and_results_in_the_table_too(console, capsys):
    with console.step("Train") as step:
        step.add_detail("leakage: pass")
        step.add_result("17 of 18 gates passed")
    console.print_table()
    shown = capsys.readouterr().out
    assert shown.count("leakage: pass") == 1
    assert shown.count("17 of 18 gates passed") == 2


def test_table_fits_on_a_screen(console, capsys):
    with console.step("Train") as step:
        step.add_result("a line that has many words " * 20)
    capsys.readouterr()
    console.print_table()
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 110


def test_address_stays_whole_in_the_table(console, capsys):
    address = "http://127.0.0.1/" + "z" * 150
    with console.step("Look") as step:
        step.add_result(address)
    capsys.readouterr()
    console.print_table()
    shown = capsys.readouterr().out
    assert shown.count("z") == 150
    assert "…" not in shown


def test_failure_shows_what_came_before(console, capsys):
    with suppress(ValueError), console.step("Train") as step:
        step.add_detail("leakage: pass")
        raise ValueError
    console.print_failure(ValueError("no day"))
    shown = capsys.readouterr().out
    assert "leakage: pass" in shown
    assert "no day" in shown
