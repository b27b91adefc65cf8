"""What a task reads and writes: assets of Airflow where the DAG asks for them, datasets of OpenLineage in any case."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_neuro_buckets.operators.base import ChangingOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset, OutputDataset
    from airflow.providers.common.compat.sdk import Asset, Context
    from airflow.providers.openlineage.extractors import OperatorLineage

_TEMPLATE = re.compile(r"\{[{%#]")


class _ToldOperator(ChangingOperator):
    """Base of the operators that tell OpenLineage what they did: it asks them when the task has ended."""

    _done: Mapping[str, Any] = {}
    """The XCom of a task that ended well."""

    def result(self, **done: Any) -> dict[str, Any]:
        """Return the XCom for what was done, and keep it for the lineage."""
        self._done = done
        return super().result(**done)


class LineageOperator(_ToldOperator):
    """Base of the operators that bring blobs somewhere: OpenLineage is told what they read and write, and from where.

    :param assets: make an inlet of the address that is read, and an outlet of the one that is written, so that other
        DAGs can be scheduled on ``Asset("blob://bucket/key")``; files of the worker are no assets. An address that is
        known only when the task runs, as it is a template, an XCom or mapped over, needs an inlet or outlet by hand
        instead: to each `AssetAlias` among the outlets the task then adds what it wrote. A dry run updates no asset.
    """

    reads: ClassVar[str] = ""
    """The argument with the address or path that is read; empty: none."""
    writes: ClassVar[str] = ""
    """The argument with the address or path that is written."""
    local: ClassVar[str] = ""
    """Which of both is a path of the worker."""

    def __init__(self, *, assets: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.assets = assets
        self._named: Sequence[Asset] = ()
        self._names_later = False

    def address_of(self, argument: str) -> Any:
        """Return the address or path that an argument holds: a text, or what will be one when the task runs."""
        return getattr(self, argument)

    def is_asset(self, argument: str) -> bool:
        """Whether an argument, if any, holds an address of a bucket, or what will be one when the task runs."""
        return argument not in {"", self.local}

    def dataset(self, argument: str) -> Dataset | None:
        """Return the dataset of the address or path that an argument holds, once it is known."""
        from airflow_provider_neuro_buckets.assets.blob import dataset_of, dataset_of_file  # noqa: PLC0415 - installed where it calls

        address = self.address_of(argument)
        if not isinstance(address, str):
            return None
        return (dataset_of_file if argument == self.local else dataset_of)(address)

    def name_assets(self) -> None:
        """Set inlets and outlets, if asked to: the last thing that a constructor does.

        :raises ValueError: an address is not known yet, and no inlet or outlet was given for it; or it names no asset.
        """
        if self.assets:
            self._name(self.reads, self.inlets, "inlets")
            self._name(self.writes, self.outlets, "outlets")

    def _name(self, argument: str, given: list[Any], role: str) -> None:
        if not self.is_asset(argument):
            return
        address = self.address_of(argument)
        is_mapped = getattr(
            self, "_BaseOperator__from_mapped", False
        )  # the scheduler knows the frame of such tasks only
        if is_known(address) and not is_mapped:
            from airflow_provider_neuro_buckets.assets.blob import create_asset  # noqa: PLC0415 - loads yarl: if asked to

            asset = create_asset(uri=address)
            if asset not in given:
                given.append(asset)
                self._named = (*self._named, asset)
        elif not given:
            use = ", to which the task adds what it wrote," if role == "outlets" else ""
            raise ValueError(
                f"assets=True cannot name an asset for {argument}={address!r}, which is known only when the task runs. "
                f"Add {role}=[AssetAlias('...')]{use} or {role}=[Asset('blob://...')]."
            )
        elif role == "outlets":
            self._names_later = True

    def post_execute(self, context: Context, result: Any = None) -> None:
        """Say which assets were updated, once that is known; Airflow tells those that wait for them."""
        super().post_execute(context, result)
        if not self.assets:
            return
        if self.rehearses():
            self.outlets = [outlet for outlet in self.outlets if outlet not in self._named]
        elif self._names_later:
            from airflow.providers.common.compat.sdk import AssetAlias  # noqa: PLC0415 - most tasks have none

            from airflow_provider_neuro_buckets.assets.blob import create_asset  # noqa: PLC0415 - as above

            for alias in (outlet for outlet in self.outlets if isinstance(outlet, AssetAlias)):
                context["outlet_events"][alias].add(create_asset(uri=self._done["uri"]))

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Tell OpenLineage what was read and written; also after a failure, then without numbers. It calls this."""
        from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415 - installed where it calls

        if self.rehearses():
            return OperatorLineage()
        return OperatorLineage(
            inputs=list(self._datasets(self.reads)),
            outputs=[_written(dataset, self._done) for dataset in self._datasets(self.writes)],
        )

    def _datasets(self, argument: str) -> Iterator[Dataset]:
        if argument and (found := self.dataset(argument)) is not None:
            yield found


class RemovingOperator(_ToldOperator):
    """Base of the operators that delete what is at an address. It is no asset: nobody is to run because it is gone."""

    def address_removed(self) -> str:
        """Return the address."""
        raise NotImplementedError

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Tell OpenLineage that a dataset is gone; nothing after a failure. It calls this."""
        from airflow.providers.common.compat.openlineage import facet  # noqa: PLC0415 - installed where it calls
        from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415 - as facet

        from airflow_provider_neuro_buckets.assets.blob import dataset_of  # noqa: PLC0415 - as facet

        if not self._done or self.rehearses():
            return OperatorLineage()
        gone = dataset_of(self.address_removed())
        gone.facets = {
            "lifecycleStateChange": facet.LifecycleStateChangeDatasetFacet(
                lifecycleStateChange=facet.LifecycleStateChange.DROP
            )
        }
        return OperatorLineage(outputs=[gone])


def is_known(value: object) -> bool:
    """Whether a value is a text that is the same for every run of a task."""
    return isinstance(value, str) and not _TEMPLATE.search(value)


def _written(dataset: Dataset, done: Mapping[str, Any]) -> OutputDataset:
    """Return a dataset with the bytes and files that a task wrote to it, if it came that far."""
    import attrs  # noqa: PLC0415 - the client of OpenLineage needs it, and Airflow
    from airflow.providers.common.compat.openlineage import facet  # noqa: PLC0415 - as above

    statistics = facet.OutputStatisticsOutputDatasetFacet
    numbers = {"size": done.get("bytes"), "fileCount": done.get("files")}
    known: dict[str, Any] = {name: number for name, number in numbers.items() if name in attrs.fields_dict(statistics)}
    return facet.OutputDataset(
        namespace=dataset.namespace,
        name=dataset.name,
        outputFacets={"outputStatistics": statistics(**known)} if done else {},
    )
