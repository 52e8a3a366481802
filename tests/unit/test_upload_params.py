"""Uploads inside parameters: their address is taken, their bytes are the identity, and the call is what is copied."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.client import KieClient
from kiegen_nb.kie.models import file_rules
from kiegen_nb.kie.models.imagen4 import imagen4
from kiegen_nb.kie.models.market import KieMarketParams, market, params_for
from kiegen_nb.kie.models.midjourney import midjourney
from kiegen_nb.kie.models.sora2 import KieSora2Params, sora2
from kiegen_nb.kie.models.veo3 import veo3
from kiegen_nb.service import FileRule, addresses_in, with_addresses
from kiegen_nb.tasks import AssetKind, UploadResult

if TYPE_CHECKING:
    from kiegen_nb.kie.models.base import KieParams

OLD, NEW, OTHER = (f"https://files.example/{name}.png" for name in ("old", "new", "other"))
MEANINGS = {OLD: "sha256:aa", NEW: "sha256:aa"}
UPLOAD = UploadResult(
    download_url=OLD,
    expires_at=datetime(2026, 11, 23, tzinfo=UTC),
    is_assumed=True,
    sha256="aa",
    name="<b>dog</b>.png",
    mime="image/png",
    size=1234,
    kind=AssetKind.IMAGE,
    source="/home/me/dog.png",
)


@pytest.mark.parametrize(
    "params",
    [
        veo3("x", images=UPLOAD),
        veo3("x", image_urls=[UPLOAD]),
        midjourney("x", api_model="mj_img2img", images=(UPLOAD,)),
        sora2("x", api_model="sora-2-image-to-video", image_urls=UPLOAD),
        sora2(api_model="sora-2-characters", character_file_url=UPLOAD),
        sora2(api_model="sora-watermark-remover", video_url=UPLOAD),
        market("google/nano-banana-edit", prompt="x", image_urls=[UPLOAD]),
        market("google/nano-banana-edit", prompt="x", image_urls=UPLOAD),
        market("unknown/model", validate=False, anything={"deep": [{"url": UPLOAD}]}),
    ],
    ids=lambda params: params.api_model,
)
def test_parameters_take_an_upload_where_they_take_an_address(params: KieParams) -> None:
    assert addresses_in(params.wire()) == {OLD}
    assert addresses_in(params.to_json()) == {OLD}
    assert type(params).read(params.to_json()) == params


def test_an_upload_is_its_address_and_shows_itself_as_text() -> None:
    assert str(UPLOAD) == OLD
    assert f"{UPLOAD}" == OLD
    shown = UPLOAD._repr_html_()
    assert "<b>" not in shown
    assert "&lt;b&gt;dog&lt;/b&gt;.png" in shown
    assert "2026-11-23 00:00 UTC (assumed)" in shown
    assert repr(UPLOAD) == "UploadResult('<b>dog</b>.png', image/png, until 2026-11-23 00:00 UTC (assumed))"


def test_its_json_is_the_hooks_json() -> None:
    data = UPLOAD.model_dump(mode="json", by_alias=True)
    assert data["downloadUrl"] == OLD
    assert data["expiresAt"] == "2026-11-23T00:00:00Z"
    assert UploadResult.model_validate(data) == UPLOAD


def test_a_renewed_address_is_the_same_request() -> None:
    for make in (
        lambda url: veo3("x", images=[OTHER, url]),
        lambda url: market("unknown/model", validate=False, deep=[{"a": {"b": [url]}}]),
        lambda url: midjourney("x", api_model="mj_video", images=[url]),
    ):
        assert make(OLD).identity(MEANINGS) == make(NEW).identity(MEANINGS)
        assert make(OLD).identity() != make(NEW).identity()
        assert make(OLD).identity(MEANINGS) != make(OLD).identity()
        assert make(OTHER).identity(MEANINGS) == make(OTHER).identity()


def test_other_bytes_are_another_request() -> None:
    assert veo3("x", images=[OLD]).identity({OLD: "sha256:aa"}) != veo3("x", images=[OLD]).identity({OLD: "sha256:bb"})


@pytest.mark.parametrize("params", [imagen4("a red kite"), veo3("x", images=[OTHER]), market("z-image", prompt="x")])
def test_without_uploads_the_identity_is_what_it_was(params: KieParams) -> None:
    assert params.identity({}) == params.identity() == params.identity(MEANINGS)


def test_identities_are_pinned_for_every_store_there_is() -> None:
    requests = (
        imagen4("a red kite"),
        veo3("x", images=[OLD]),
        market("google/nano-banana-edit", prompt="x", image_urls=[OLD]),
    )
    assert [params.identity()[:8] for params in requests] == ["f424d1a0", "fb874724", "0bc6eeff"]


async def test_prepare_asks_for_all_addresses_at_once_and_not_at_all_without_any() -> None:
    client = KieClient(SecretStr("key"), "https://api.kie.ai")
    asked: list[set[str]] = []

    def meanings(addresses: object) -> dict[str, str]:
        asked.append(set(addresses))  # type: ignore[call-overload]
        return MEANINGS

    client.recognise(meanings)
    old, new = client.prepare(veo3("x", images=[OLD, OTHER])), client.prepare(veo3("x", images=[NEW, OTHER]))
    assert old.identity == new.identity
    assert old.body["input"]["image_urls"] == [OLD, OTHER]
    assert old.provider_params["input"]["image_urls"] == [OLD, OTHER]
    client.prepare(imagen4("a red kite"))
    assert asked == [{OLD, OTHER}, {NEW, OTHER}]
    await client.close()


def test_addresses_are_found_and_replaced_wherever_they_stand_alone() -> None:
    data = {"a": OLD, "b": [OLD, {"c": (OLD, 5, None)}], "text": f"see {OLD}", "n": 1.5, "e": []}
    assert addresses_in(data) == {OLD}
    changed = with_addresses(data, {OLD: NEW})
    assert changed == {"a": NEW, "b": [NEW, {"c": [NEW, 5, None]}], "text": f"see {OLD}", "n": 1.5, "e": []}


def call_of(address: str) -> str | None:
    return 'session.upload("dog.png")' if address == OLD else None


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (veo3("x", images=[OLD, OTHER]), f"veo3('x', image_urls=[session.upload(\"dog.png\"), {OTHER!r}])"),
        (
            market("google/nano-banana-edit", prompt="x", image_urls=[OLD]),
            "market('google/nano-banana-edit', prompt='x', image_urls=[session.upload(\"dog.png\")])",
        ),
        (
            market("unknown/model", validate=False, a={"b": (OLD, 1)}, **{"c-d": OLD}),
            (
                "market('unknown/model', validate=False, a={'b': [session.upload(\"dog.png\"), 1]}, "
                "**{'c-d': session.upload(\"dog.png\")})"
            ),
        ),
    ],
)
def test_copied_python_uploads_the_file_again(params: KieParams, expected: str) -> None:
    assert params.as_python(call_of) == expected
    assert "session" not in params.as_python()


@pytest.mark.parametrize("params", [veo3("x", images=[OTHER]), imagen4("x"), market("z-image", prompt="x")])
def test_without_uploads_the_copied_python_is_what_it_was(params: KieParams) -> None:
    assert params.as_python(call_of) == params.as_python()


def test_the_documented_limits_of_files_stand_beside_the_family() -> None:
    mb = 2**20
    assert file_rules("sora-2-image-to-video") == (FileRule(AssetKind.IMAGE, ("jpg", "png", "webp"), 10 * mb),)
    assert file_rules("sora-2-characters") == (FileRule(AssetKind.VIDEO, ("mp4", "webm", "avi"), 10 * mb, (1.0, 4.0)),)
    assert file_rules(sora2("x")) == ()
    assert {rule.kind for rule in file_rules(KieSora2Params) or ()} == {AssetKind.IMAGE, AssetKind.VIDEO}
    assert file_rules("google/imagen4") == ()
    assert file_rules("mj_txt2img") == ()
    assert file_rules("mj_video") == (FileRule(AssetKind.IMAGE),)
    assert file_rules(params_for("google/nano-banana-edit")) == (FileRule(AssetKind.IMAGE),)
    assert file_rules("google/nano-banana") is None
    assert file_rules(KieMarketParams) is None


def test_a_limit_the_catalogue_names_counts() -> None:
    limits = {rule.most_bytes for slug in params_slugs() for rule in file_rules(slug) or ()}
    assert {30 * 2**20, 50 * 2**20, 100 * 2**20, None} <= limits


def params_slugs() -> tuple[str, ...]:
    return KieMarketParams.slugs()


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(InvalidParams, match="nano-bananna"):
        file_rules("google/nano-bananna")
