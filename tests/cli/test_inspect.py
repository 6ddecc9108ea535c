from pathlib import Path

from running import run


def test_a_page_for_each_workload(models: Path) -> None:
    both = run("inspect", models)
    web = run("inspect", models, "--workload", "web")
    assert (both.returncode, both.stderr) == (0, "")
    assert web.stdout in both.stdout
    assert len(both.stdout) > len(web.stdout) > 0
    assert max(map(len, both.stdout.splitlines())) <= 80


def test_an_unknown_workload_names_those_there_are(models: Path) -> None:
    done = run("inspect", models, "--workload", "db")
    assert done.returncode == 2
    assert done.stderr == f"Error: There is no model of db in {models}. Choose of api, web.\n"
