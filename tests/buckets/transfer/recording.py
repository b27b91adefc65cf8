"""A progress object that writes down what it hears."""

from __future__ import annotations

from airflow_provider_neuro_buckets.buckets.progress import (
    AbstractRecursiveFileProgress,
    StorageProgressComplete,
    StorageProgressEnterDir,
    StorageProgressFail,
    StorageProgressFound,
    StorageProgressLeaveDir,
    StorageProgressStart,
    StorageProgressStep,
)

Event = (
    StorageProgressStart
    | StorageProgressStep
    | StorageProgressComplete
    | StorageProgressEnterDir
    | StorageProgressLeaveDir
    | StorageProgressFail
    | StorageProgressFound
)


class Recorder(AbstractRecursiveFileProgress):
    """Keeps every event, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def start(self, data: StorageProgressStart) -> None:
        self.events.append(data)

    def step(self, data: StorageProgressStep) -> None:
        self.events.append(data)

    def complete(self, data: StorageProgressComplete) -> None:
        self.events.append(data)

    def enter(self, data: StorageProgressEnterDir) -> None:
        self.events.append(data)

    def leave(self, data: StorageProgressLeaveDir) -> None:
        self.events.append(data)

    def fail(self, data: StorageProgressFail) -> None:
        self.events.append(data)

    def found(self, data: StorageProgressFound) -> None:
        self.events.append(data)

    def steps(self) -> list[int]:
        """Return how far each step was."""
        return [event.current for event in self.events if isinstance(event, StorageProgressStep)]

    def finds(self) -> list[StorageProgressFound]:
        """Return what was told of how much there is to do."""
        return [event for event in self.events if isinstance(event, StorageProgressFound)]

    def brief(self, *, root: str) -> list[str]:
        """Return the events but steps and totals as short lines, with the paths of the side below `root`."""
        lines = []
        for event in self.events:
            if isinstance(event, StorageProgressStep | StorageProgressFound):
                continue
            side = next(str(url) for url in (event.src, event.dst) if str(url).startswith(root))
            name = type(event).__name__.removeprefix("StorageProgress").removesuffix("Dir").lower()
            lines.append(f"{name} {side.removeprefix(root).strip('/')}".strip())
        return lines
