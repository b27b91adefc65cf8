"""Where the cursor of a watcher survives a restart: Airflow's asset state store, as far as this Airflow has one."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from airflow_provider_neuro_buckets.triggers.base import pause
from airflow_provider_neuro_buckets.triggers.cursor import Cursor

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0


class Memory:
    """Keeps the cursor of one watcher.

    :param store: what Airflow gives the trigger; `None`: nothing survives.
    :param key: of the cursor in it.
    :param watched: what is watched, for the log.
    """

    def __init__(self, store: Any, *, key: str, watched: str) -> None:
        self._stores = _of_each_asset(store)
        self._key = key
        self._watched = watched
        self._saved: dict[str, Any] | None = None

    async def load(self) -> Cursor | None:
        """Return the cursor; `None` if there is none yet, or none that can be read. Waits until the store answers."""
        if not self._stores:
            log.warning(
                "This Airflow keeps no state for watchers: of %s only what is new from now on is told", self._watched
            )
            return None
        faults = 0
        while True:
            try:
                stored = await self._first_stored()
            except Exception as error:  # noqa: BLE001 - whatever it is, without the cursor blobs would be lost
                faults += 1
                log.warning("Cannot load the cursor of %s: %s", self._watched, error)
                await asyncio.sleep(pause(FIRST_PAUSE, faults))
            else:
                return self._read(stored)

    async def _first_stored(self) -> Any:
        for store in self._stores:
            if (stored := await _call(store, "get", self._key)) is not None:
                return stored
        return None

    def _read(self, stored: Any) -> Cursor | None:
        if stored is None:
            return None
        try:
            return Cursor.read(stored)
        except ValueError as error:
            log.warning(
                "The cursor of %s cannot be used: %s. Only what is new from now on is told", self._watched, error
            )
            return None

    async def save(self, cursor: Cursor | None) -> None:
        """Save the cursor, if it is another than the last. A store that fails is tried again with the next cursor."""
        stored = cursor.stored() if cursor else None
        if stored is None or stored == self._saved:
            return
        try:
            for store in self._stores:
                await _call(store, "set", self._key, stored)
        except Exception as error:  # noqa: BLE001 - whatever it is, the watcher goes on; after a restart it may repeat itself
            log.warning("Cannot save the cursor of %s: %s", self._watched, error)
        else:
            self._saved = stored


def _of_each_asset(store: Any) -> list[Any]:
    """Return where to keep state: for each asset, since Airflow runs one trigger for all watchers that are alike."""
    if store is None:
        return []
    found = [*getattr(store, "_by_name", {}).values(), *getattr(store, "_by_uri", {}).values()]
    return found or [store]


async def _call(store: Any, verb: str, *arguments: Any) -> Any:
    """Call a method of a store, without blocking the loop; before Airflow 3.3.2 it has blocking ones only."""
    if hasattr(store, f"a{verb}"):
        return await getattr(store, f"a{verb}")(*arguments)
    return await asyncio.to_thread(getattr(store, verb), *arguments)
