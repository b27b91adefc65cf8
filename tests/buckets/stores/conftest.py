from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from azure.storage.blob.aio import ContainerClient

from conformance.rigs.aws import MotoServer
from conformance.rigs.aws import serve as serve_moto
from conformance.rigs.azure import AzureServer
from conformance.rigs.azure import serve as serve_azure
from conformance.rigs.base import Rig
from conformance.rigs.gcp import GcsRig, GcsServer
from conformance.rigs.gcp import serve as serve_gcs
from conformance.rigs.seaweedfs import LocalServer, SeaweedRig
from conformance.rigs.seaweedfs import serve as serve_seaweedfs


@pytest.fixture(scope="session")
def azure() -> Iterator[AzureServer]:
    with serve_azure() as server:
        yield server


@pytest.fixture
async def container(azure: AzureServer) -> AsyncIterator[ContainerClient]:
    """A fresh container of Azure, seen with all rights through the SDK."""
    async with azure.container() as client:
        yield client


@pytest.fixture(scope="session")
def gcs() -> Iterator[GcsServer]:
    with serve_gcs() as server:
        yield server


@pytest.fixture
async def gcs_rig(gcs: GcsServer) -> AsyncIterator[GcsRig]:
    """A fresh bucket of Google Cloud Storage, opened with the key of a service account."""
    async with gcs.rig() as rig:
        yield rig


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[LocalServer]:
    with serve_seaweedfs() as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[MotoServer]:
    with serve_moto() as server:
        yield server


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
