"""What every operator and every sensor promises to whoever writes a DAG."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator

from airflow_here import DagSerialization, before
from airflow_provider_neuro_buckets import get_provider_info
from airflow_provider_neuro_buckets.operators.base import BucketsOperator, ChangingOperator

README = Path(__file__).parents[2] / "README.md"


def classes() -> Iterator[type[BucketsOperator]]:
    """Yield each public operator and sensor that the provider info lists."""
    info = get_provider_info()
    for integration in info["operators"] + info["sensors"]:
        for name in integration["python-modules"]:
            for kind in vars(importlib.import_module(name)).values():
                if inspect.isclass(kind) and kind.__module__ == name and not inspect.isabstract(kind):
                    assert issubclass(kind, BucketsOperator)
                    if kind.__name__ != "BucketsSensor" and not kind.__name__.startswith("_"):
                        yield kind


ALL = pytest.mark.parametrize("kind", list(classes()), ids=lambda kind: kind.__name__)


def parameters(kind: type[BucketsOperator]) -> dict[str, inspect.Parameter]:
    """Return the parameters that our own classes add to Airflow's."""
    found: dict[str, inspect.Parameter] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, BucketsOperator) and "__init__" in vars(base):
            found |= inspect.signature(inspect.unwrap(base.__init__)).parameters
    return {name: item for name, item in found.items() if name not in {"self", "kwargs"}}


def templates(kind: type[BucketsOperator]) -> list[str]:
    """Return the arguments that may be templates. `dry_run` is a method of every operator, so its attribute is not."""
    return ["dry_run" if name == "is_dry_run" else name for name in kind.template_fields]


def required(kind: type[BucketsOperator], text: str = "text") -> dict[str, Any]:
    """Return a value for each parameter that has no default."""
    return {
        name: [text] if "Sequence[str]" in item.annotation and "str |" not in item.annotation else text
        for name, item in parameters(kind).items()
        if item.default is inspect.Parameter.empty
    }


@ALL
def test_it_takes_nothing_by_position(kind: type[BucketsOperator]) -> None:
    assert {item.kind for item in parameters(kind).values()} == {inspect.Parameter.KEYWORD_ONLY}


@ALL
def test_its_docstring_or_that_of_its_base_tells_every_parameter(kind: type[BucketsOperator]) -> None:
    told = "\n".join(base.__doc__ or "" for base in kind.__mro__ if issubclass(base, BucketsOperator))
    for name in parameters(kind):
        assert re.search(rf":param {name}:|`{name}`", told), f"{name} is not explained"


@ALL
def test_every_address_and_every_name_can_be_a_template(kind: type[BucketsOperator]) -> None:
    texts = {
        name
        for name, item in parameters(kind).items()
        if re.match(r"(str|Sequence\[str\]|Iterable\[str\])\b", item.annotation) and name != "ignore_file_names"
    }
    assert texts <= set(templates(kind))
    assert "neuro_buckets_conn_id" in kind.template_fields
    assert set(templates(kind)) <= parameters(kind).keys()


@ALL
def test_templates_are_kept_as_they_were_given_until_the_task_runs(kind: type[BucketsOperator]) -> None:
    given: dict[str, Any] = {name: f"{{{{ params.{name} }}}}" for name in templates(kind)}
    operator = kind(task_id="task", **{**required(kind), **given})
    for field, name in zip(kind.template_fields, templates(kind), strict=True):
        assert getattr(operator, field) is given[name]


@ALL
def test_it_can_be_mapped(kind: type[BucketsOperator]) -> None:
    needs = required(kind)
    with DAG("dag", schedule=None):
        for name in [name for name in templates(kind) if name in needs] or ["neuro_buckets_conn_id"]:
            rest = {other: value for other, value in needs.items() if other != name}
            mapped = kind.partial(task_id=f"by_{name}", **rest).expand(**{name: ["a", "b"]})
            assert mapped.operator_class is kind


@ALL
def test_default_arguments_of_a_dag_reach_it(kind: type[BucketsOperator]) -> None:
    """One of them makes a rehearsal of a whole DAG.

    Airflow before 3.0.2 refuses one that a mapped task does not know, whatever its operator.
    """
    arguments: dict[str, Any] = {"neuro_buckets_conn_id": "special", "dry_run": True}
    if before(3, 1):
        arguments = {name: value for name, value in arguments.items() if name in parameters(kind)}
    with DAG("dag", schedule=None, default_args=arguments):
        operator: Any = kind(task_id="task", **required(kind))
        mapped = kind.partial(task_id="mapped", **required(kind)).expand(doc=["a", "b"])
        one: Any = mapped.unmap({"doc": "a"})
    for made in (operator, one):
        assert made.neuro_buckets_conn_id == "special"
        if issubclass(kind, ChangingOperator):
            assert made.is_dry_run is True


CHANGES = re.compile(r"Rm|Upload|Download|Copy|Put|Shard")


@ALL
def test_whatever_deletes_or_replaces_something_can_be_rehearsed(kind: type[BucketsOperator]) -> None:
    assert issubclass(kind, ChangingOperator) == bool(CHANGES.search(kind.__name__))


@ALL
def test_the_readme_has_a_row_for_it(kind: type[BucketsOperator]) -> None:
    room, module = kind.__module__.split(".")[-2:]
    assert f"| `{room}.{module}.{kind.__name__}` |" in README.read_text()


@ALL
def test_it_is_no_more_than_its_arguments_until_it_runs(kind: type[BucketsOperator]) -> None:
    """No connection is read and no client made while a DAG is parsed: there is none here."""
    operator = kind(task_id="task", **required(kind))
    assert "hook" not in vars(operator)


@ALL
def test_a_dag_with_it_can_be_stored_and_read_back(kind: type[BucketsOperator]) -> None:
    with DAG("dag", schedule=None) as dag:
        kind(task_id="task", **required(kind))
    stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    task: Any = DagSerialization.from_dict(stored).task_dict["task"]
    assert task.task_type == kind.__name__
    assert set(task.template_fields) == set(kind.template_fields)


@ALL
def test_a_misspelt_choice_is_refused_when_the_dag_is_parsed(kind: type[BucketsOperator]) -> None:
    choices = [name for name, item in parameters(kind).items() if item.annotation.startswith("Literal[")]
    for name in choices:
        with pytest.raises(ValueError, match=name):
            kind(task_id="task", **{**required(kind), name: "mistake"})


@ALL
def test_a_killed_task_cancels_its_hook(kind: type[BucketsOperator]) -> None:
    assert kind.on_kill is not BaseOperator.on_kill
