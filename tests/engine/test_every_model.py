"""Every slug of the market, from the smallest valid input to its result on disk."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from kiegen_nb.kie.catalogue import catalogue
from kiegen_nb.kie.models import follow_ups
from kiegen_nb.kie.models.market import market
from kiegen_nb.kie.models.midjourney import midjourney
from kiegen_nb.kie.models.sora2 import sora2
from kiegen_nb.kie.models.veo3 import veo3
from kiegen_nb.kie.validation import example
from kiegen_nb.session import Session
from kiegen_nb.tasks import AssetKind, GenerationTask, TaskStatus
from tests.conftest import sampled, wanted_parameters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kiegen_nb.engine.handle import TaskHandle

SLUGS = list(catalogue)
SAMPLE = 10  # every so many-th is walked through in the short run
PATIENCE = 120.0
STARTS = {
    AssetKind.IMAGE: (b"\x89PNG", b"\xff\xd8\xff", b"RIFF"),
    AssetKind.AUDIO: (b"RIFF", b"ID3"),
    AssetKind.DATA: (b"{", b"[", b'"'),
    AssetKind.TEXT: (b"",),
    AssetKind.FILE: (b"",),
}


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory, start_sandbox: Any) -> Iterator[Session]:
    """A session without any limit on creates and looks, on a sandbox that has none either."""
    folder = tmp_path_factory.mktemp("walk")
    sandbox = start_sandbox("--speed", "1000", "--no-limits")
    session = Session(
        "walking-key",
        base_url=sandbox.url,
        database_url=folder / "store.sqlite3",
        output_dir=folder / "output",
        poll_interval=0.3,
        create_limit=0,
        look_limit=0,
    )
    yield session
    session.close()
    sandbox.stop()


@pytest.fixture(scope="module")
def handles(walk: Session, request: pytest.FixtureRequest) -> dict[str, TaskHandle]:
    """All that are looked at, at once, as a person with a very large notebook would."""
    wanted = set(wanted_parameters(request))
    slugs = [slug for slug in SLUGS if slug in wanted]
    return {slug: walk.submit(market(slug, **example(catalogue[slug])), prompt_id="market") for slug in slugs}


@pytest.mark.parametrize("slug", sampled(SLUGS, SAMPLE))
def test_every_slug_ends_with_its_kind_of_result_on_disk(handles: dict[str, TaskHandle], slug: str) -> None:
    task = handles[slug].result(PATIENCE)
    assert task.status is TaskStatus.SUCCESS
    assert task.assets
    expected = catalogue[slug].asset_kind
    assert task.assets[0].kind is expected, "the catalogue's category says what comes out"
    for asset in task.assets:
        look_at_file(asset.path, asset.kind, asset.error)


def look_at_file(path: Path | None, kind: AssetKind, error: str | None) -> None:
    assert error is None
    assert path is not None
    head = path.read_bytes()[:16]
    if kind is AssetKind.VIDEO:
        assert head[4:8] == b"ftyp"
    else:
        assert head.startswith(STARTS[kind])
    assert path.with_name(f"{path.name}.json").exists(), "every file has its sidecar"


@pytest.mark.parametrize("via", ["jobs", pytest.param("veo", marks=pytest.mark.long)])
def test_a_veo_video_can_be_extended_and_enlarged_on_its_own_road(walk: Session, via: Any) -> None:
    parent = walk.submit(veo3("a fox runs", via=via), prompt_id="veo").result(PATIENCE)
    assert parent.assets[0].duration
    assert parent.assets[0].thumbnail is not None
    for step in walk.follow_ups(parent):
        request = step.make(0, "and sleeps" if step.needs_prompt else None)
        assert request.to_json()["via"] == via if via == "veo" else request.road == "jobs"
    handles = [walk.follow_up(parent, name, prompt="and sleeps") for name in names(parent) if name != "1080p"]
    for handle in handles:
        child = handle.result(PATIENCE)
        assert child.parent_id == parent.id
        assert child.assets[0].kind is AssetKind.VIDEO


def names(task: GenerationTask) -> list[str]:
    return [step.name for step in follow_ups(task)]


def test_midjourney_makes_four_pictures_and_each_can_be_upscaled_and_varied(walk: Session) -> None:
    parent = walk.submit(midjourney("a fox"), prompt_id="mj").result(PATIENCE)
    assert [asset.kind for asset in parent.assets] == [AssetKind.IMAGE] * 4
    for name in names(parent):
        child = walk.follow_up(parent, name, index=2).result(PATIENCE)
        assert (child.parent_id, child.assets[0].kind) == (parent.id, AssetKind.IMAGE)


@pytest.mark.parametrize("slug", ["sora-2-text-to-video-stable", "sora-2-image-to-video-stable"])
def test_the_stable_twins_of_sora_work_too(walk: Session, slug: Any) -> None:
    images = ["https://example.com/fox.png"] if "image" in slug else None
    task = walk.submit(sora2("a fox", api_model=slug, image_urls=images), prompt_id="sora").result(PATIENCE)
    assert task.assets[0].kind is AssetKind.VIDEO


def test_sora_gives_the_clean_copy_first(walk: Session) -> None:
    task = walk.submit(sora2("a fox", remove_watermark=True), prompt_id="sora").result(PATIENCE)
    assert {asset.kind for asset in task.assets} == {AssetKind.VIDEO}


async def test_the_live_catalogue_is_read_kept_and_used_by_the_next_session(
    walk: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(_: float) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(walk._engine.clock, "sleep", at_once)
    shipped = len(catalogue)
    found = await walk.refresh_catalogue(["google/imagen4"])
    try:
        assert "google/imagen4" in found
        assert len(found) >= shipped - 1
        assert walk._engine.store.document("catalogue")
    finally:
        catalogue.use(None)
    assert len(catalogue) == shipped
