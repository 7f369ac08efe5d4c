"""`tallystick check` and `tallystick diff`: what they print, and how they end."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from core_world import PAGES
from tallystick.cli.annotations import Remark, as_annotation
from tallystick.cli.main import main

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALLYSTICK_MACHINES", raising=False)


def page(code: str) -> str:
    """The wrong machine of a finding's page."""
    return re.findall(r"```yaml\n(.*?)```", (DOCS / f"findings/{code}.md").read_text(encoding="utf-8"), re.DOTALL)[0]


@pytest.mark.slow
def test_the_packaged_machines_are_clean() -> None:
    done = CliRunner().invoke(main, ["check", "--quick"])
    assert done.exit_code == 0
    assert re.fullmatch(r"clean \(structure: \d+ machines, \d+ states, \d+ transitions\)\n", done.stdout)


def test_a_finding_is_one_line_with_its_place_and_the_way_there_below(tmp_path: Path) -> None:
    file = tmp_path / "locker.yaml"
    file.write_text(page("TS105"), encoding="utf-8")
    done = CliRunner().invoke(main, ["check", "--quick", str(file)])
    assert done.exit_code == 1
    line = page("TS105").splitlines().index("    when: amount > 0") + 1
    assert done.stdout.splitlines() == [
        f"{file}:{line}:11: TS105 take in free is neither answered nor refused with amount 0.00; with amount -0.01",
        "    create: free",
        "1 finding (structure: 1 machine, 3 states, 2 transitions)",
    ]


def test_the_way_to_a_finding_is_written_and_can_be_run(tmp_path: Path) -> None:
    file, folder = tmp_path / "locker.yaml", tmp_path / "ways"
    file.write_text(page("TS203"), encoding="utf-8")
    done = CliRunner().invoke(main, ["check", str(file)])
    assert "write them as files with --replays FOLDER" in done.stdout
    done = CliRunner().invoke(main, ["check", str(file), "--replays", str(folder)])
    assert done.exit_code == 1
    runs = re.findall(r"to see it again: tallystick (.*)", done.stdout)
    assert len(runs) == len(list(folder.iterdir())) > 0
    for run in runs:
        done = CliRunner().invoke(main, shlex.split(run))
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert answers
        assert {"invalid"}.isdisjoint(answer["result"] for answer in answers), answers


def test_a_folder_is_checked_and_told_as_json(tmp_path: Path) -> None:
    for code in ("TS101", "TS108"):
        (tmp_path / f"{code}.yaml").write_text(
            page(code).replace("machine: locker", f"machine: {code.lower()}"), encoding="utf-8"
        )
    done = CliRunner().invoke(main, ["check", "--quick", "--json", str(tmp_path)])
    told = json.loads(done.stdout)
    assert done.exit_code == 1
    assert told["clean"] is False
    assert [(each["code"], each["machine"]) for each in told["findings"]] == [("TS101", "ts101"), ("TS108", "ts108")]
    assert told["findings"][1]["story"] == ["create: free", "take: free → taken"]
    assert told["figures"]["structure"]["machines"] == 2


def test_a_page_that_is_no_machine_is_told_as_such(tmp_path: Path) -> None:
    file = tmp_path / "locker.yaml"
    file.write_text(page("TS105").replace("to: taken", "to: token"), encoding="utf-8")
    done = CliRunner().invoke(main, ["check", "--quick", str(file)])
    assert done.exit_code == 1
    assert "state 'token' is not declared. Did you mean 'taken'?" in done.stderr
    done = CliRunner().invoke(main, ["check", "--quick", str(tmp_path / "lock.yaml")])
    assert done.exit_code == 2
    (tmp_path / "none").mkdir()
    done = CliRunner().invoke(main, ["check", "--quick", str(tmp_path / "none")])
    assert (done.exit_code, done.stderr) == (
        1,
        f"Error: there is no page in {tmp_path / 'none'}; pages end in .yaml or .yml\n",
    )


def test_two_versions_are_compared_whatever_their_files_are_called(tmp_path: Path) -> None:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(PAGES["payment.yaml"], encoding="utf-8")
    new.write_text(
        PAGES["payment.yaml"]
        .replace("version: 2", "version: 3")
        .replace("cover_elsewhere: {amount: money}", "cover_elsewhere: {amount: money, by: text}"),
        encoding="utf-8",
    )
    done = CliRunner().invoke(main, ["diff", str(old), str(new)])
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "changes: payment, version 2 → 3: something runs differently",
        "  command cover_elsewhere takes by too, which is text",
    ]
    told = json.loads(CliRunner().invoke(main, ["diff", str(old), str(old), "--json"]).stdout)
    assert told["kind"] == "nothing"


def test_a_page_is_checked_with_those_beside_it(tmp_path: Path) -> None:
    jar, funnel = re.findall(r"```yaml\n(.*?)```", (DOCS / "findings/TS217.md").read_text("utf-8"), re.DOTALL)[2:]
    (tmp_path / "jar.yaml").write_text(jar, encoding="utf-8")
    (tmp_path / "funnel.yaml").write_text(funnel, encoding="utf-8")
    (tmp_path / "compose.yaml").write_text("", encoding="utf-8")
    done = CliRunner().invoke(main, ["check", "--quick", str(tmp_path / "funnel.yaml")])
    assert done.exit_code == 1, "what stands beside it is no page, so it is read without, and nothing is a jar"
    (tmp_path / "compose.yaml").unlink()
    done = CliRunner().invoke(main, ["check", "--quick", str(tmp_path / "funnel.yaml")])
    assert "TS102 no way leads from open to an end" in done.stdout
    assert "(structure: 1 machine," in done.stdout


def test_findings_are_told_to_other_programs(tmp_path: Path) -> None:
    file, out = tmp_path / "locker.yaml", tmp_path / "check.sarif"
    file.write_text(page("TS105"), encoding="utf-8")
    done = CliRunner().invoke(main, ["check", "--quick", str(file), "--sarif", str(out), "--github"])
    line = page("TS105").splitlines().index("    when: amount > 0") + 1
    (run,) = json.loads(out.read_text(encoding="utf-8"))["runs"]
    (result,) = run["results"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [result["ruleId"]] == ["TS105"]
    (place,) = result["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == str(file)
    assert place["physicalLocation"]["region"] == {"startLine": line, "startColumn": 11}
    assert done.stderr.startswith(f"::error file={file},line={line},col=11,title=TS105::take in free is neither")


def test_what_keeps_a_page_from_being_read_is_told_too(tmp_path: Path) -> None:
    file, out = tmp_path / "locker.yaml", tmp_path / "check.sarif"
    file.write_text(page("TS105").replace("    when: amount > 0", "    when: amont > 0"), encoding="utf-8")
    done = CliRunner().invoke(main, ["check", str(file), "--json", "--sarif", str(out)])
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert (told["clean"], [each["file"] for each in told["faults"]]) == (False, [str(file)])
    assert "Did you mean 'amount'" in told["faults"][0]["message"]
    (run,) = json.loads(out.read_text(encoding="utf-8"))["runs"]
    assert run["results"][0]["message"]["text"] == told["faults"][0]["message"]


def test_a_sign_of_github_in_a_sentence_stays_a_sign_of_the_sentence() -> None:
    said = as_annotation(Remark("TS105", "a,b.yaml", 1, 2, "50 %\nof :all"))
    assert said == "::error file=a%2Cb.yaml,line=1,col=2,title=TS105::50 %25%0Aof :all"
