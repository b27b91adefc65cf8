from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from azure.storage.blob.aio import ContainerClient

from conformance.rigs.aws import MotoServer
from conformance.rigs.azure import AzureServer
from conformance.rigs.base import Rig
from conformance.rigs.gcp import GcsRig, GcsServer
from conformance.rigs.registry import Servers
from conformance.rigs.seaweedfs import LocalServer, SeaweedRig


@pytest.fixture(scope="session")
def azure(servers: Servers) -> AzureServer:
    server = servers.running("azure")
    assert isinstance(server, AzureServer)
    return server


@pytest.fixture
async def container(azure: AzureServer) -> AsyncIterator[ContainerClient]:
    """A fresh container of Azure, seen with all rights through the SDK."""
    async with azure.container() as client:
        yield client


@pytest.fixture(scope="session")
def gcs(servers: Servers) -> GcsServer:
    server = servers.running("gcp")
    assert isinstance(server, GcsServer)
    return server


@pytest.fixture
async def gcs_rig(gcs: GcsServer) -> AsyncIterator[GcsRig]:
    """A fresh bucket of Google Cloud Storage, opened with the key of a service account."""
    async with gcs.rig() as rig:
        yield rig


@pytest.fixture(scope="session")
def seaweedfs(local_server: LocalServer) -> LocalServer:
    return local_server


@pytest.fixture(scope="session")
def moto(servers: Servers) -> MotoServer:
    server = servers.running("aws")
    assert isinstance(server, MotoServer)
    return server


@pytest.fixture
async def moto_rig(moto: MotoServer) -> AsyncIterator[Rig]:
    """A fresh bucket of a server that lets everybody do everything."""
    async with moto.rig() as rig:
        yield rig


@pytest.fixture
async def seaweed_rig(seaweedfs: LocalServer) -> AsyncIterator[SeaweedRig]:
    """A fresh bucket of SeaweedFS, opened with what the platform grants to who may write."""
    async with seaweedfs.rig() as rig:
        yield rig
