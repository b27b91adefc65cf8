from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from azure.storage.blob.aio import ContainerClient

from conformance.rigs.azure import AzureServer
from conformance.rigs.azure import serve as serve_azure


@pytest.fixture(scope="session")
def azure() -> Iterator[AzureServer]:
    with serve_azure() as server:
        yield server


@pytest.fixture
async def container(azure: AzureServer) -> AsyncIterator[ContainerClient]:
    """A fresh container of Azure, seen with all rights through the SDK."""
    async with azure.container() as client:
        yield client
