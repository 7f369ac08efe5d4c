"""`tallystick check` and `tallystick diff`: what they print, and how they end."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from core_world import PAGES
from tallystick.check.finding import Finding
from tallystick.check.model import explore
from tallystick.check.structure import inspect
from tallystick.cli.annotations import Remark, as_annotation
from tallystick.cli.commands import checking
from tallystick.cli.main import main
from tallystick.definition.machine import Machine, Machines

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
    assert re.fullmatch(
        r"clean \(structure: \d+ machines, \d+ states, \d+ transitions; examples: \d+ lives, \d+ steps\)\n", done.stdout
    )


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
    page = PAGES["payment.yaml"].partition("\nexamples:")[0] + "\n"  # they give the command what it takes today
    old.write_text(page, encoding="utf-8")
    new.write_text(
        page.replace("version: 3", "version: 4").replace(
            "cover_elsewhere: {amount: money}", "cover_elsewhere: {amount: money, by: text}"
        ),
        encoding="utf-8",
    )
    done = CliRunner().invoke(main, ["diff", str(old), str(new)])
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "changes: payment, version 3 → 4: something runs differently",
        "  command cover_elsewhere takes by too, which is text",
    ]
    told = json.loads(CliRunner().invoke(main, ["diff", str(old), str(old), "--json"]).stdout)
    assert told["kind"] == "nothing"


def test_what_was_proved_is_said_for_each_state(tmp_path: Path) -> None:
    right = re.findall(r"```yaml\n(.*?)```", (DOCS / "findings/TS309.md").read_text("utf-8"), re.DOTALL)[-1]
    file = tmp_path / "page.yaml"
    file.write_text(right)
    answer = CliRunner().invoke(main, ["check", str(file), "--quick", "--explain"])
    assert answer.exit_code == 0, answer.output
    first, *lines = answer.output.splitlines()
    name = right.split()[1]
    assert first == f"{name}: what holds in each state, for all amounts, while no call is open that will change it"
    said = dict(line.strip().split(": ", 1) for line in lines if line.startswith("  "))
    assert "are 0" in " ".join(said.values()) or "is 0" in " ".join(said.values())
    told = json.loads(CliRunner().invoke(main, ["check", str(file), "--quick", "--explain", "--json"]).output)
    assert {state: "; ".join(says) for state, says in told["holds"][name].items() if says} == said

    file.write_text(page("TS309"))
    answer = CliRunner().invoke(main, ["check", str(file), "--quick", "--explain"])
    assert answer.exit_code == 1
    assert answer.output.startswith("What holds in each state is not said, for not everything was proved.")


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


# How it ends


PUNCH_CARD = """
machine: punch_card
version: 1
summary: So many coffees, and one is free.
facts: {stamps: {is: count, later: true, default: 0}}
states:
  open: {start: true, says: It is stamped.}
  done: {final: true, says: The free one was had.}
commands: {stamp: {}, free: {}, lose: {}}
transitions:
  stamp: {from: open, when: stamps < 30, set: {stamps: stamps + 1}}
  free: {from: open, to: done, when: stamps == 30}
  lose: {from: open, to: done}
refuse:
  - {says: Full., in: [open], commands: [stamp], when: stamps >= 30}
  - {says: Not yet., in: [open], commands: [free], when: stamps != 30}
  - {says: Over., in: [done], commands: [stamp, free, lose]}
"""


def test_what_is_only_not_decided_has_an_exit_code_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, sarif = tmp_path / "punch_card.yaml", tmp_path / "found.sarif"
    file.write_text(PUNCH_CARD, encoding="utf-8")
    assert CliRunner().invoke(main, ["check", str(file)]).exit_code == 0
    monkeypatch.setattr(explore, "BUDGET", 20)
    done = CliRunner().invoke(main, ["check", str(file), "--sarif", str(sarif), "--github"])
    assert done.exit_code == 3, done.output
    assert "TS209 free did not happen within this bound: amounts up to 0.04, some of the " in done.stdout
    assert re.match(r"\d not decided \(", done.stdout.splitlines()[-1])
    levels = {each["level"] for each in json.loads(sarif.read_text(encoding="utf-8"))["runs"][0]["results"]}
    assert levels == {"warning"}
    assert done.stderr.startswith("::warning file=")


@pytest.mark.parametrize("how", ["--json", "--quick"])
def test_stopped_it_tells_what_it_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """As Ctrl-C does it, in the second page: what is wrong with the first one is told."""
    for name in ("a_locker", "b_locker"):
        text = page("TS105").replace("machine: locker", f"machine: {name}")
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    original = inspect.inspect_machine

    def stopped(machines: Machines, machine: Machine) -> Iterator[Finding]:
        if machine.name == "b_locker":
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        return original(machines, machine)

    monkeypatch.setattr(inspect, "inspect_machine", stopped)
    done = CliRunner().invoke(main, ["check", str(tmp_path), how])
    assert done.exit_code == 4, done.output
    if how == "--json":
        told = json.loads(done.stdout)
        assert (told["clean"], told["stopped"]) == (False, "structure")
        assert [each["code"] for each in told["findings"]] == ["TS105"]
    else:
        assert "TS105 take in free is neither" in done.stdout
        assert "1 finding, stopped in structure, so this is not all" in done.stdout


def test_a_long_check_tells_on_stderr_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locker.yaml").write_text(page("TS105"), encoding="utf-8")
    monkeypatch.setattr(checking, "EVERY", 0.0)
    done = CliRunner().invoke(main, ["check", "--json", str(tmp_path)])
    assert done.stderr.splitlines()[:2] == ["checking locker: looking at the page", "checking locker: running it"]
    assert json.loads(done.stdout)["clean"] is False


# What has changed


def git(folder: Path, *words: str) -> None:
    told = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", folder, *told, *words], check=True, capture_output=True)


def checked(tmp_path: Path, *words: str) -> list[str]:
    done = CliRunner().invoke(main, ["check", "--quick", "--json", str(tmp_path), *words])
    if not done.stdout:
        return [done.output]
    found = json.loads(done.stdout)
    return [found["figures"].get("structure", {}).get("machines", 0), *(each["machine"] for each in found["findings"])]


def test_only_what_has_changed_and_what_reads_it_is_checked(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    for name in ("locker", "shelf"):
        text = page("TS105").replace("machine: locker", f"machine: {name}")
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    user = (
        page("TS105")
        .replace("machine: locker", "machine: user\n")
        .replace("accounts:", "facts: {of: shelf}\naccounts:")
    )
    (tmp_path / "user.yaml").write_text(user, encoding="utf-8")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "Three pages.")
    assert checked(tmp_path, "--changed", "HEAD") == [0]
    shelf = tmp_path / "shelf.yaml"
    shelf.write_text(shelf.read_text(encoding="utf-8").replace("amount > 0", "amount >= 0"), encoding="utf-8")
    assert checked(tmp_path, "--changed", "HEAD")[0] == 2
    (tmp_path / "new.yaml").write_text(page("TS105").replace("machine: locker", "machine: new"), encoding="utf-8")
    assert checked(tmp_path, "--changed", "HEAD")[0] == 3
    assert "git knows no commit '--output=x'" in checked(tmp_path, "--changed", "--output=x")[0]
    assert not (tmp_path / "x").exists()


def test_pages_in_no_repository_cannot_have_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locker.yaml").write_text(page("TS105"), encoding="utf-8")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "in no git repository" in checked(tmp_path, "--changed", "HEAD")[0]
