from __future__ import annotations


def test_feed_lands_the_files_known_on_a_day(tmp_path, set_settings, airworthy):
    landing = tmp_path / "landing"
    set_settings(landing_uri=landing)
    result = airworthy("feed", "--until", "2013-01-01")
    assert (result.code, result.out) == (0, f"1 files landed below {landing}, as of 2013-01-01\n")
    paths = sorted(str(path.relative_to(landing)) for path in landing.rglob("*.csv"))
    assert paths == ["flights/2013-01-01.csv"]
    assert airworthy("feed", "--until", "2013-01-01", "--json").value["files"] == 0


def test_demo_whose_stack_does_not_start_ends_with_1(tmp_path, set_settings, airworthy):
    set_settings(home=tmp_path, airflow_port=5000)
    result = airworthy("demo", "--json")
    assert result.code == 1
    assert result.value["succeeded"] is False
    assert "AIRWORTHY_MLFLOW_PORT and AIRWORTHY_AIRFLOW_PORT are both 5000" in result.err
