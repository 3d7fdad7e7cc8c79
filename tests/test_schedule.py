"""The schedule: one pass a shard between two barriers, only what is missing, sealed when whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from spine import Built, planned, recipe

from corpus_builder.plan import Plan
from corpus_builder.schedule import Schedule, Task
from corpus_builder.stages.base import Context
from corpus_builder.work import Worker, write_splits


@pytest.fixture(scope="module")
def launches(
    inputs: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Plan, list[list[Task]]]:
    """All launches of a first run, tasks of a launch in reverse order."""
    out = tmp_path_factory.mktemp("schedule")
    plan = planned(recipe(inputs), out)
    write_splits(out / ".engine" / "splits.json", plan.splits)
    schedule = Schedule(Context(out, plan.splits, plan.stages), list(plan.stages.values()))
    found = []
    while tasks := schedule.next_tasks():
        worker = Worker(f"{len(found)}", out, out / ".engine" / "splits.json", plan.stages, 1 << 30)
        for task in reversed(tasks):
            worker(task, lambda documents, size: None)
        found.append(tasks)
    return plan, found


def test_the_order_of_tasks_in_a_launch_does_not_show(
    launches: tuple[Plan, list[list[Task]]], small: Built
) -> None:
    from spine import tree

    plan, _ = launches
    assert tree(plan.out / "stages") == tree(small.out / "stages")


def test_consecutive_row_stages_are_one_task_a_shard(
    launches: tuple[Plan, list[list[Task]]],
) -> None:
    plan, found = launches
    rows = [task for task in found[0] if task["kind"] == "rows"]
    assert [task["unit"] for task in rows if task["corpus"] == "web"] == list(
        plan.context.shard_names("web")
    )
    stages = {task["corpus"]: task["stages"] for task in rows}
    assert stages["web"][0] == "web.extract" and stages["web"][-1] == "web.dedup.bands"
    assert stages["code"] == ["code.read", "code.filter.signals", "code.filter"]
    assert len(stages["web"]) == 9


def test_every_unit_is_done_once_and_after_what_it_reads(
    launches: tuple[Plan, list[list[Task]]],
) -> None:
    plan, found = launches
    done: dict[tuple[str, str, str], int] = {}
    place: dict[str, int] = {}
    for number, tasks in enumerate(found):
        for task in tasks:
            for name in task.get("stages") or [task["stage"]]:
                key = (name, task.get("phase", "data"), task["unit"])
                assert key not in done, "once"
                done[key] = number
                if plan.stages[name].upstream:
                    before = [place[above.name] for above in plan.stages[name].upstream]
                    assert max(before) <= number
                place[name] = number
    for manifest in plan.manifests():
        for unit in manifest.units:
            phase, name = unit.unit.split("/", 1)
            assert (manifest.name, phase, name) in done


def test_phases_of_a_stage_are_launches_of_their_own(
    launches: tuple[Plan, list[list[Task]]],
) -> None:
    _, found = launches
    phases = [
        [task["phase"] for task in tasks if task.get("stage") == "dedup-across.groups"]
        for tasks in found
    ]
    seen = [sorted(set(part)) for part in phases if part]
    assert seen == [["edges"], ["members"], ["candidates"], ["data"]]
    assert [len(part) for part in phases if part] == [15, 1, 8, 1]


def test_intermediate_files_go_when_a_stage_is_sealed(
    launches: tuple[Plan, list[list[Task]]],
) -> None:
    plan, _ = launches
    assert not list((plan.out / "stages").glob("*/work"))


def test_nothing_is_asked_for_twice_and_a_whole_run_asks_for_nothing(small: Built) -> None:
    heard: list[str] = []

    def sealed(stage: Any, manifest: Any) -> None:
        heard.append(stage.name)

    plan = small.plan
    context = Context(plan.out, plan.splits, plan.stages)
    schedule = Schedule(context, list(plan.stages.values()), sealed)
    assert schedule.next_tasks() == []
    assert sorted(heard) == sorted(plan.stages)


def test_tasks_are_plain_and_labelled_for_messages(
    launches: tuple[Plan, list[list[Task]]],
) -> None:
    import json

    _, found = launches
    for task in (task for tasks in found for task in tasks):
        assert json.loads(json.dumps(task)) == task
        assert task["unit"] in task["label"]
