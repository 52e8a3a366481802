"""What can be uploaded and what cannot: sources of every kind, hostile files, and what a caller and a model accept."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from kiegen_nb.engine import upload_checks
from kiegen_nb.engine import uploads as uploader
from kiegen_nb.engine.upload_sources import require_address
from kiegen_nb.errors import InvalidParams, KiegenError, UploadError
from kiegen_nb.kie.models.sora2 import KieSora2Params
from kiegen_nb.settings import data_folder
from kiegen_nb.tasks import AssetKind
from tests.support.fake_kie import until
from tests.support.uploads import answers, claim, fetched, film, kept_copies, noise, png, saved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kiegen_nb.session import Session
    from tests.support.sandboxes import Sandbox

PATIENCE = 30.0


@pytest.fixture(scope="module")
def sandbox(start_sandbox: type[Sandbox]) -> Iterator[Sandbox]:
    """One sandbox for all; every test has a store of its own."""
    running = start_sandbox()
    yield running
    running.stop()


@pytest.fixture
def asked(sandbox: Sandbox) -> Callable[[], list[int]]:
    """Returns how the sandbox answered this test's uploads."""
    before = len(answers(sandbox))
    return lambda: answers(sandbox)[before:]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "dog.png"
    path.write_bytes(png())
    return path


# What can be handed over.


def test_a_path_is_remembered_as_a_path_and_nothing_is_copied(session: Session, picture: Path) -> None:
    for source in (picture, str(picture), Path(picture.name)):
        upload = session.upload(source)
        assert (upload.name, upload.source) == ("dog.png", str(picture))
    assert kept_copies() == []


def test_a_path_that_is_no_text_is_copied_because_no_store_can_remember_it(session: Session, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"k\xff.png")
    path.write_bytes(png())
    upload = session.upload(path)
    assert upload.name == "k_.png"
    assert upload.source == str(data_folder() / "uploads" / kept_copies()[0])


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "memoryview", "stream", "file", "with a name"])
def test_bytes_in_memory_are_kept_in_the_data_folder(session: Session, picture: Path, kind: str) -> None:
    data = png("blue")
    picture.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    sources: dict[str, Any] = {
        "bytes": data,
        "bytearray": bytearray(data),
        "memoryview": memoryview(data),
        "stream": io.BytesIO(data),
        "with a name": data,
    }
    with picture.open("rb") as file:
        upload = session.upload(sources.get(kind, file), name="Kite.png" if kind == "with a name" else None)
    assert fetched(upload.download_url) == data
    assert kept_copies() == [f"{digest}.png"]
    assert upload.source == str(data_folder() / "uploads" / f"{digest}.png")
    assert upload.name == {"with a name": "Kite.png", "file": "dog.png"}.get(kind, f"{digest[:8]}.png")


def test_a_stream_is_read_before_start_upload_returns(session: Session) -> None:
    with io.BytesIO(png()) as stream:
        handle = session.start_upload(stream)
    assert fetched(handle.result(PATIENCE).download_url) == png()


def test_what_is_handed_over_may_be_changed_at_once(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    held = threading.Event()
    check = upload_checks.check

    def late(*args: Any, **options: Any) -> Any:
        held.wait(PATIENCE)
        return check(*args, **options)

    monkeypatch.setattr(uploader, "check", late)
    # Pillow shares the memory of an array of one colour, if it is let.
    image, array, data = Image.new("RGB", (9, 9), "red"), np.zeros((9, 9), np.uint8), bytearray(png("red", (9, 9)))
    handles = [session.start_upload(source) for source in (image, array, data)]
    image.paste("lime", (0, 0, 9, 9))
    array[:] = 255
    data[:] = png("lime", (9, 9))
    held.set()
    seen = [Image.open(handle.result(PATIENCE).source or "").convert("RGB").getpixel((4, 4)) for handle in handles]
    assert seen == [(255, 0, 0), (0, 0, 0), (255, 0, 0)]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_a_pillow_image_is_saved_as_png(session: Session, mode: str) -> None:
    upload = session.upload(Image.new(mode, (8, 6)))
    with Image.open(upload.source or "") as image:
        assert (image.format, image.size) == ("PNG", (8, 6))
    assert (upload.mime, fetched(upload.download_url)) == ("image/png", Path(upload.source or "").read_bytes())


def test_a_photograph_is_uploaded_as_it_is_looked_at(session: Session) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    with Image.open(io.BytesIO(saved(Image.new("RGB", (8, 4)), "JPEG", exif=exif))) as photograph:
        upload = session.upload(photograph)
    with Image.open(upload.source or "") as image:
        assert image.size == (4, 8)


@pytest.mark.parametrize(
    ("array", "mode"),
    [
        (np.full((4, 6), 7, np.uint8), "L"),
        (np.full((4, 6, 3), 255, np.uint8), "RGB"),
        (np.zeros((4, 6, 4), np.uint8), "RGBA"),
        (np.linspace(0, 1, 24).reshape(4, 6), "L"),
        (np.ones((4, 6, 3), np.float32), "RGB"),
        (np.zeros((8, 12, 3), np.uint8)[::2, ::2], "RGB"),
        (np.zeros((3, 4, 6), np.uint8).transpose(1, 2, 0), "RGB"),
    ],
)
def test_an_array_is_a_picture(session: Session, array: Any, mode: str) -> None:
    upload = session.upload(array)
    with Image.open(upload.source or "") as image:
        assert (image.mode, image.size) == (mode, (6, 4))
        expected = array if array.dtype == np.uint8 else (array * 255).round().astype(np.uint8)
        assert (np.asarray(image) == expected).all()


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.zeros((3, 4, 6), np.uint8), "transpose"),
        (np.zeros(5, np.uint8), "no picture"),
        (np.zeros((0, 5), np.uint8), "no picture"),
        (np.zeros((4, 6, 2), np.uint8), "no picture"),
        (np.full((4, 6), 1.5), "between 0 and 1"),
        (np.full((4, 6), -0.1), "between 0 and 1"),
        (np.full((4, 6), np.nan), "between 0 and 1"),
        (np.zeros((4, 6), np.uint16), "uint8"),
        (np.zeros((4, 6), bool), "uint8"),
        (np.zeros((4, 6), complex), "uint8"),
        (np.array([["a"]]), "uint8"),
    ],
)
def test_an_array_that_is_no_picture_is_told_what_is(session: Session, array: Any, sentence: str) -> None:
    with pytest.raises(UploadError, match=sentence):
        session.upload(array)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_an_image_of_numbers_is_told_to_be_scaled(session: Session, mode: str) -> None:
    with pytest.raises(UploadError, match="convert it"):
        session.upload(Image.new(mode, (4, 4)))


# Hostile and mistaken input: one sentence that names the file, nothing sent, nothing left behind.


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.png", b"", "empty.png is empty"),
        ("notes.png", b"just some words about a kite", "notes.png holds neither a picture nor a video nor a sound"),
        ("page.mp4", b"<!doctype html><html><script>alert(1)</script>", "page.mp4 holds neither"),
        ("bomb.png", claim(100_000, 100_000), "bomb.png cannot be uploaded, the picture claims to be too large"),
        ("half.png", png()[:60], "half.png cannot be uploaded, it is not a picture, or is damaged"),
        ("cut.jpg", saved(Image.effect_noise((200, 200), 90), "JPEG")[:900], "cut.jpg cannot be uploaded"),
        ("evil.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "evil.svg is an SVG"),
        ("evil.png", b'<?xml version="1.0"?>\n<!-- x --><svg onload="alert(1)"/>', "evil.png is an SVG"),
        ("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "phone.heic is a HEIC picture"),
        ("script.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n", "script.eps holds neither"),
        ("report.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "report.pdf holds neither"),
        ("film.mp4", b"\0\0\0\x18ftypmp42" + bytes(16), "film.mp4 cannot be uploaded"),
        ("archive.zip", b"PK\x03\x04" + bytes(99), "archive.zip holds neither"),
        ("bitmap.bmp", b"BM" + bytes(99), "bitmap.bmp cannot be uploaded"),
    ],
)
@pytest.mark.parametrize("in_memory", [False, True])
def test_what_is_no_medium_is_not_sent(
    session: Session,
    asked: Callable[[], list[int]],
    tmp_path: Path,
    name: str,
    content: bytes,
    sentence: str,
    *,
    in_memory: bool,
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    errors: list[KiegenError] = []
    with pytest.raises(UploadError) as caught:
        session.upload(content if in_memory else path, name=name, on_error=errors.append)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
    assert asked() == []
    assert session.uploads() == ()
    assert kept_copies() == []
    until(lambda: errors == [caught.value])


@pytest.mark.parametrize("share", [0.4, 0.999])
def test_a_film_without_its_end_is_not_sent(
    session: Session, asked: Callable[[], list[int]], tmp_path: Path, share: float
) -> None:
    data = film(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UploadError, match=r"cut\.mp4 cannot be uploaded, the end of the video is missing"):
        session.upload(tmp_path / "cut.mp4")
    assert asked() == []


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("missing.png", r"missing\.png cannot be read \(No such file or directory\): check the path"),
        (".", "is a folder: give a file in it"),
        ("/dev/zero", "zero is no ordinary file"),
        ("a\0b.png", r"a_b\.png cannot be read \(embedded null byte\)"),
        ("n" * 300 + ".png", r"n{10,}….png cannot be read \(File name too long\)"),
        ("../" * 20 + "etc/passwd", "passwd holds neither a picture"),
        ("~no-such-user/x.png", "cannot be a path"),
        ("s3://bucket/kite.png", "is no http"),
        ("", "is a folder"),
        (42, "int cannot be uploaded; give a path, bytes"),
        (None, "NoneType cannot be uploaded"),
        ({"url": "x"}, "dict cannot be uploaded"),
        (io.StringIO("words"), "open it in binary mode"),
        (io.BytesIO(b""), r"nothing left to read: go to its beginning with \.seek"),
        (b"", "This data is empty"),
        ("http://[::1", "is no address: give one such as"),
        ("http://me:secret@example.com/x.png", "The address at example.com holds a password"),
    ],
)
def test_what_is_no_file_is_named_and_not_sent(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: object, sentence: str
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UploadError, match=sentence) as caught:
        session.upload(source)
    assert len(str(caught.value)) < 500
    assert kept_copies() == []


def test_a_stream_that_breaks_leaves_nothing(session: Session) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 0:
                raise OSError("the cable was pulled")
            return super().read(10 if size else 0)

    with pytest.raises(UploadError, match=r"could not be read \(the cable was pulled\)"):
        session.upload(Broken(png()))
    assert kept_copies() == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\0b\nc\x1b[31m.png", "a_b_c_[31m.png"),
        ("<script>alert(1)</script>.png", "script>.png"),
        ("x" * 300 + ".jpeg", "x" * 114 + "….jpeg"),
        ("\u202egnp.exe", "_gnp.exe"),
        ("   ", "file"),
    ],
)
def test_a_name_from_outside_is_one_short_line_and_never_reaches_the_host(
    session: Session, sandbox: Sandbox, picture: Path, name: str, shown: str
) -> None:
    upload = session.upload(picture, name=name)
    assert upload.name == shown
    digest = hashlib.sha256(png()).hexdigest()
    assert upload.download_url.endswith(f"/kiegen/{digest[:32]}.png")
    assert upload.download_url.startswith(sandbox.url)


def test_the_content_decides_and_not_the_name(session: Session, tmp_path: Path) -> None:
    (tmp_path / "really.mp4").write_bytes(saved(Image.new("RGB", (8, 8)), "JPEG"))
    upload = session.upload(tmp_path / "really.mp4")
    assert (upload.kind, upload.mime) == (AssetKind.IMAGE, "image/jpeg")
    assert upload.download_url.endswith(".jpg")


@pytest.mark.parametrize(("ending", "mime"), [("mp4", "video/mp4"), ("webm", "video/webm"), ("avi", "video/x-msvideo")])
def test_films_are_taken(session: Session, tmp_path: Path, ending: str, mime: str) -> None:
    upload = session.upload(film(tmp_path / f"film.{ending}"), accept="video", model="sora-2-characters")
    assert (upload.kind, upload.mime) == (AssetKind.VIDEO, mime)


# What a caller and a model accept.


def test_a_kind_that_is_not_accepted_is_not_sent(
    session: Session, asked: Callable[[], list[int]], picture: Path
) -> None:
    with pytest.raises(UploadError, match=r"dog\.png is a picture: give a video or a sound\."):
        session.upload(picture, accept=("video", "audio"))
    with pytest.raises(UploadError, match=r"dog\.png is a picture: give a video for sora-2-characters\."):
        session.upload(picture, model="sora-2-characters")
    with pytest.raises(UploadError, match=r"google/imagen4 takes no files"):
        session.upload(picture, model="google/imagen4")
    with pytest.raises(InvalidParams, match="must be one or several of image, video, audio"):
        session.upload(picture, accept="pictures")
    with pytest.raises(InvalidParams, match="nano-bananna"):
        session.upload(picture, model="google/nano-bananna")
    assert asked() == []
    for accept in ("image", ["image/*", "video/*"], AssetKind.IMAGE):
        session.upload(picture, accept=accept, model=KieSora2Params)


@pytest.mark.parametrize(
    ("make", "model", "sentence"),
    [
        (lambda _: saved(Image.new("RGB", (9, 9)), "GIF"), "sora-2-image-to-video", "is gif: save it as jpg or png"),
        (lambda _: noise(1900), "sora-2-image-to-video", "is bmp"),
        (lambda _: png() + bytes(11 * 2**20), "sora-2-image-to-video", "has 11.0 MB: make it 10 MB or less for sora"),
        (lambda folder: film(folder / "f.mp4", 6).read_bytes(), "sora-2-characters", "lasts 6.0 s: cut it to 1 to 4 s"),
    ],
)
def test_a_models_documented_limits_are_checked_before_anything_is_sent(
    session: Session,
    asked: Callable[[], list[int]],
    tmp_path: Path,
    make: Callable[[Path], bytes],
    model: str,
    sentence: str,
) -> None:
    with pytest.raises(UploadError, match=sentence):
        session.upload(make(tmp_path), model=model, name="mine")
    assert asked() == []
    assert kept_copies() == []


def test_a_file_beyond_the_cap_is_not_read(
    session: Session, asked: Callable[[], list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "huge.mp4").open("wb") as file:
        file.truncate(513 * 2**20)
    with pytest.raises(UploadError, match=r"huge\.mp4 has 513 MB: make it 512 MB or less"):
        session.upload(tmp_path / "huge.mp4")
    monkeypatch.setattr("kiegen_nb.engine.upload_sources.MOST_BYTES", 2**20)
    with pytest.raises(UploadError, match="has more than 1 MB"):
        session.upload(io.BytesIO(bytes(3 * 2**20)))
    assert asked() == []
    assert kept_copies() == []


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8888/files/dog.png",
        "http://127.0.0.1/dog.png",
        "https://192.168.1.7/dog.png",
        "http://10.0.0.1:9000/dog.png",
        "http://[::1]/dog.png",
        "http://169.254.169.254/latest/meta-data",
        "http://nas.local/dog.png",
        "http://jupyter.localhost/dog.png",
    ],
)
def test_an_address_only_we_can_read_is_not_sent_to_a_service_elsewhere(url: str) -> None:
    require_address(url, public=False)
    with pytest.raises(UploadError, match="can be read from here only, not by the service: give the path of the file"):
        require_address(url, public=True)


@pytest.mark.parametrize("public", [False, True])
def test_an_address_must_be_one_and_hold_no_password(*, public: bool) -> None:
    require_address("https://example.com/dog.png?token=1", public=public)
    require_address("https://93.184.215.14/dog.png", public=public)
    for url in ("http://", "https:///dog.png", "http://[::1", "https://?x"):
        with pytest.raises(UploadError, match="is no address"):
            require_address(url, public=public)
    with pytest.raises(UploadError, match="holds a password") as caught:
        require_address("https://me:secret@example.com/dog.png", public=public)
    assert "secret" not in str(caught.value)
