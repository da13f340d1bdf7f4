"""The console when something is wrong: with a file, the line, the service, a key, or the texts of an image."""

import json
import re
import shlex
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import aiohttp
import pytest

from tests import pictures
from tests.browser.chromium import Browser
from tests.browser.console import Console
from tests.browser.gate import Gate
from tests.faults.length import LONG
from tests.imgsvc.sites import JPEG, Site, bearer, closed_site
from tests.servers import ROOT, program

EVERYTHING = ("read", "upload", "list", "metadata", "delete")
TILES = "document.querySelectorAll('.tile[data-index]').length"
UPLOAD = "POST /v1/images"


@pytest.fixture
async def gate(closed: Site) -> AsyncIterator[Gate]:
    async with Gate(closed.url) as gate:
        yield gate


@pytest.fixture
async def console(browser: Browser, gate: Gate, tmp_path: Path) -> AsyncIterator[Console]:
    console = Console(browser, gate.url, tmp_path)
    with console.sized(1440):
        yield console
    await browser.mistakes()


def photo(folder: Path, name: str = "photo.jpg", width: int = 300) -> Path:
    path = folder / name
    path.write_bytes(pictures.jpeg(width, 200))
    return path


async def test_each_file_says_what_is_wrong_with_it(console: Console, closed: Site, tmp_path: Path) -> None:
    text, empty = tmp_path / "notes.jpg", tmp_path / "empty.png"
    text.write_text("no picture at all")
    empty.touch()
    key = closed.new_key(*EVERYTHING, space="wrong-files")
    await console.open(key=key)
    await console.drop(text, photo(tmp_path), empty)
    await console.until("document.querySelectorAll('.upload.failed').length === 2")
    await console.until("document.querySelector('.upload.done')")
    said = await console.text(".uploads")
    assert "2 files need your attention" in said
    assert "This file is empty" in said
    assert "Try again" not in said, "that would not help"
    assert "not a supported format" in said or "not an image" in said, said
    assert await console.run(TILES) == 1


async def test_a_file_that_is_too_large_is_refused_with_the_limit(
    browser: Browser, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    with closed_site(tmp_path / "site", http, MAX_UPLOAD_BYTES="20kB") as site:
        console = Console(browser, site.url, tmp_path)
        large = tmp_path / "large.jpg"
        large.write_bytes(bytes(pictures.noise(300, 300).jpegsave_buffer(Q=95)))
        await console.open(key=site.key)
        await console.drop(large)
        assert "20000 bytes" in await console.text(".upload.failed .upload-state")


async def test_an_upload_that_breaks_is_sent_again_and_stays_one_image(
    console: Console, gate: Gate, closed: Site, tmp_path: Path
) -> None:
    key = closed.new_key(*EVERYTHING, space="broken-line")
    await console.open(key=key)
    with gate.breaking(UPLOAD):
        await console.drop(photo(tmp_path))
        assert "does not answer" in await console.text(".upload.failed .upload-state")
    # Stored, but the answer is lost.
    with gate.losing(UPLOAD):
        await console.click("Try again: photo.jpg")
        await console.until("document.querySelector('.upload.sending, .upload.checking')")
        await console.until("document.querySelector('.upload.failed')")
    await console.click("Try again: photo.jpg")
    await console.until("document.querySelector('.upload.done')")
    status, answer = await closed.json("GET", "/v1/images", key)
    assert (status, len(answer["images"])) == (200, 1)  # type: ignore[arg-type]
    assert await console.run(TILES) == 1


async def test_too_many_requests_are_explained_and_can_be_tried_again(
    console: Console, gate: Gate, closed: Site
) -> None:
    key = closed.new_key(*EVERYTHING, space="rates")
    await closed.upload(bearer(key))
    with gate.answering("GET /v1/images[?]", 429, "too many requests; wait 3 seconds", **{"Retry-After": "3"}):
        await console.open(key=key, ready="document.querySelector('.failure')")
        assert "Too many requests; wait 3 seconds." in await console.text(".failure")
    await console.click("Try again")
    await console.until(f"{TILES} === 1")


async def test_a_key_that_is_revoked_meanwhile_leads_to_the_sign_in(console: Console, closed: Site) -> None:
    key = closed.new_key(*EVERYTHING, space="revoked")
    await closed.upload(bearer(key))
    await console.open(key=key)
    await console.until(f"{TILES} === 1")
    key_id = key.split("_")[1]
    assert (await closed.json("DELETE", f"/v1/keys/{key_id}", closed.key))[0] == 204
    while (await closed.json("GET", "/v1/me", key))[0] == 200:
        pass
    await console.click(await console.element(".tile a"))
    assert "no longer works" in await console.text(".sign-in")
    assert await console.run("sessionStorage.length") == 0


async def test_texts_of_an_image_are_only_texts(console: Console, browser: Browser, closed: Site) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    key = closed.new_key(*EVERYTHING, space="hostile")
    image_id = await closed.upload(bearer(key))
    change = {"title": hostile, "alt": '"><script>alert(2)</script>', "tags": [hostile], "metadata": {hostile: hostile}}
    assert (await closed.json("PATCH", f"/v1/images/{image_id}", key, change))[0] == 200
    await browser.mistakes()
    await console.open(key=key)
    assert await console.text(".tile-name") == hostile
    await console.open(f"#/images/{image_id}", key=key)
    assert await console.text("h1") == hostile
    await console.open(f"#/images/{image_id}.webp?thumb=40", key=key)
    await console.click(await console.element("//label[contains(., '<img srcset>')]"))
    assert "&quot;&gt;&lt;script&gt;" in await console.text(".code")
    assert await console.run("document.querySelector('[onerror]') === null && document.scripts.length") == 2
    assert await browser.mistakes() == []


async def test_a_key_sees_only_what_it_may_use(console: Console, closed: Site) -> None:
    image_id = await closed.upload(bearer(closed.new_key(*EVERYTHING, space="rights")))
    key = closed.new_key("list", "metadata", space="rights")
    await console.open(f"#/images/{image_id}", key=key)
    await console.until("document.querySelector('.facts')")
    words = await console.run("[...document.querySelectorAll('button, a, form')].map((each) => each.innerText).join()")
    assert not [each for each in ("Delete", "Save", "Usage", "Keys", "Add images") if each in words]
    await console.open(key=closed.new_key("upload", space="rights"))
    assert "may not list images" in await console.text(".empty")


async def test_private_images_are_shown_to_those_who_may_see_them(console: Console, closed: Site) -> None:
    key = closed.new_key(*EVERYTHING, "sign", space="private")
    image_id = await closed.upload(bearer(key), "?visibility=private")
    await console.open(key=key)
    shown = "document.querySelector('.tile img')"
    assert (await console.until(f"{shown}?.naturalWidth && {shown}.src")).startswith("blob:")
    await console.open(f"#/images/{image_id}.webp?thumb=30", key=key)
    await console.click(await console.element("//label[contains(., 'Signed URL')]"))
    await console.click("Make a signed URL")
    signed = await console.text(".copy-as .code")
    assert (await closed.request("GET", signed.split("/v1/")[1].join(["/v1/", ""])))[0] == 200


async def test_mistakes_in_labels_are_shown_where_they_are(console: Console, closed: Site) -> None:
    key = closed.new_key(*EVERYTHING, space="labels")
    image_id = await closed.upload(bearer(key))
    await console.open(f"#/images/{image_id}", key=key)
    await console.fill('[name="tags"]', "x" * 65)
    await console.click("Save")
    mistake = "document.querySelector('[name=tags]').closest('.field').querySelector('.mistake')?.innerText"
    assert "64" in await console.until(mistake)
    await console.fill('[name="tags"]', "sea, evening")
    await console.click("Save")
    await console.until("document.querySelector('.save-row').innerText.includes('Saved')")
    _, info = await closed.json("GET", f"/v1/images/{image_id}/info", key)
    assert info["tags"] == ["sea", "evening"]


async def test_a_refused_step_is_marked(console: Console, closed: Site) -> None:
    key = closed.new_key(*EVERYTHING, space="refused")
    image_id = await closed.upload(bearer(key))
    await console.open(f"#/images/{image_id}.webp?grayscale&resize=16000x16000,fill,enlarge&blur=1", key=key)
    assert "Produces 256000000 pixels" in await console.text(".step.wrong:nth-child(2) .mistake")
    await console.open(f"#/images/{image_id}.webp?grayscale&watermark={'0' * 32}", key=key)
    assert "does not exist" in await console.text(".step.wrong:nth-child(2) .mistake")


async def test_images_are_deleted_when_people_leave_before_the_undo_ends(
    console: Console, browser: Browser, gate: Gate, closed: Site
) -> None:
    key = closed.new_key(*EVERYTHING, space="leaving")
    image_id = await closed.upload(bearer(key))
    await console.open(f"#/images/{image_id}", key=key)
    await console.click("Delete")
    await console.element("[data-undo]")
    assert f"DELETE /v1/images/{image_id}" not in gate.seen
    await browser.open("about:blank")
    while (await closed.request("GET", f"/v1/images/{image_id}"))[0] != 410:
        pass


async def test_any_number_of_images_takes_no_more_memory_than_a_few(console: Console, closed: Site) -> None:
    """And no more elements: those out of sight do not exist. With LONG=1, there are 100,000."""
    key = closed.new_key(*EVERYTHING, space="many")
    image_id = await closed.upload(bearer(key))
    many = 100_000 if LONG else 10_000
    with sqlite3.connect(closed.folder / "images.sqlite3") as database:
        names = [row[1] for row in database.execute("PRAGMA table_info(images)")]
        values = {name: name for name in names}
        values["image_id"] = "printf('%032x', n)"
        values["created_at"] = "'2020-01-01T00:00:00.' || printf('%06d', n) || '+00:00'"
        database.execute(
            f"WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {many - 1})"
            f" INSERT INTO images ({', '.join(values)}) SELECT {', '.join(values.values())} FROM counted, images"
            " WHERE image_id = ?",
            [image_id],
        )
    database.close()
    await console.open(key=key)
    await console.until(f"{TILES} > 10")
    count = "Number(document.querySelector('.count').innerText.replace(/\\D/g, ''))"
    deep = f"(scrollTo(0, document.documentElement.scrollHeight), {count} >= 5000)"
    await console.until(deep)
    first = await _heap(console)
    await console.until(deep.replace("5000", str(many)))
    assert await console.run("document.querySelectorAll('.tile').length") < 100
    assert await _heap(console) < first + 8_000_000
    assert await console.run("document.querySelector('.count').innerText") == f"{many:,} images"
    # The way back: what was forgotten is loaded again.
    await console.run("scrollTo(0, document.documentElement.scrollHeight / 2)")
    await console.until(f"{TILES} > 10 && !document.querySelector('.tile.skeleton')")


async def _heap(console: Console) -> int:
    console.command("HeapProfiler.collectGarbage")
    return int(console.command("Runtime.getHeapUsage")["usedSize"])


async def test_a_search_that_is_refused_says_so_at_its_control(console: Console, closed: Site) -> None:
    key = closed.new_key(*EVERYTHING, space="searches")
    await closed.upload(bearer(key))
    await console.open("#/?q=%2D%2D", key=key)
    assert "has no words" in await console.text("#search-mistake")
    await console.open("#/?min_width=0", key=key)
    control = "document.querySelector('[type=number]').closest('.field').querySelector('.mistake')?.innerText"
    assert "'0' is not a whole number" in await console.until(control)


async def test_signing_out_leaves_nothing_behind(console: Console, closed: Site) -> None:
    """What was deleted before is deleted with the key of that time."""
    key = closed.new_key(*EVERYTHING, space="signing-out")
    image_id = await closed.upload(bearer(key))
    await console.open(f"#/images/{image_id}", key=key)
    await console.click("Delete")
    await console.element("[data-undo]")
    await console.click("Sign out")
    await console.until("document.querySelector('.sign-in')")
    assert await console.run("sessionStorage.length") == 0
    while (await closed.request("GET", f"/v1/images/{image_id}"))[0] != 410:
        pass


_CHAIN = "resize=30x20,cover&rotate=12.5&background=ff8800&crop=20x15,north&blur=2,0.5&compress=60"


async def test_the_code_to_copy_makes_the_same_url(console: Console, closed: Site, tmp_path: Path) -> None:
    key = closed.new_key(*EVERYTHING, space="code")
    image_id = await closed.upload(bearer(key))
    await console.open(f"#/images/{image_id}.webp?{_CHAIN}", key=key)
    url = f"{console.url}/v1/images/{image_id}.webp?{_CHAIN}"
    code = {}
    for kind in ("url", "curl", "python", "javascript", "picture"):
        label = await console.element(f"//label[input/@value='{kind}']")
        await console.click(label)
        code[kind] = await console.text(".copy-as .code")
    assert code["url"] == url
    assert shlex.split(code["curl"])[-1] == url

    names: dict[str, object] = {}
    exec(code["python"], names)
    assert names["url"] == url
    script = code["javascript"].replace("imgsvc-client", f"{ROOT}/clients/javascript/src/index.js")
    (tmp_path / "main.mjs").write_text(f"{script}\nconsole.log(url);")
    done = subprocess.run([program("node"), tmp_path / "main.mjs"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == url
    assert code["picture"].count("<source ") == 2
    assert code["picture"].endswith('alt="" loading="lazy" style="max-width: 100%; height: auto">\n</picture>')


@pytest.mark.parametrize(
    ("chain", "widths"),
    [("resize=400x300,cover", [400]), ("resize=1000x", [400, 800, 1000]), ("", [400, 800, 1600])],
    ids=["thumbnail", "between", "original"],
)
@pytest.mark.parametrize("kind", ["srcset", "picture"])
async def test_each_width_in_the_html_is_that_of_its_picture(
    kind: str, chain: str, widths: list[int], console: Console, closed: Site
) -> None:
    """Browsers divide by it: with a larger one, they show the picture too small."""
    key = closed.new_key(*EVERYTHING, space=f"srcset-{kind}-{len(widths)}-{len(chain)}")
    headers = {**JPEG, **bearer(key)}
    _, answer = await closed.request("POST", "/v1/images", headers, pictures.jpeg(2000, 1500))
    image_id = json.loads(answer)["image_id"]
    await console.open(f"#/images/{image_id}.webp?{chain}", key=key)
    await console.click(await console.element(f"//label[input/@value='{kind}']"))
    code = unescape(await console.text(".copy-as .code"))
    candidates = re.findall(r"(/v1/images/\S+) (\d+)w", code)
    assert sorted({int(width) for _, width in candidates}) == widths
    for url, width in candidates:
        async with closed.http.get(f"{closed.url}{url}") as response:
            picture = pictures.pyvips.Image.new_from_buffer(await response.read(), "")
        assert picture.width == int(width), url
    assert f'sizes="(max-width: {widths[-1]}px) 100vw, {widths[-1]}px" width="{widths[-1]}"' in code
    assert f'height="{widths[-1] * 3 // 4}"' in code


async def test_the_width_on_the_page_is_a_length(console: Console, closed: Site) -> None:
    key = closed.new_key(*EVERYTHING, space="sizes")
    image_id = await closed.upload(bearer(key))
    await console.open(f"#/images/{image_id}.webp?thumb=40", key=key)
    await console.click(await console.element("//label[input/@value='srcset']"))
    sizes = ".copy-as .two .field:last-child input"
    await console.fill(sizes, "(max-width: 600px) 100vw, 300")
    await console.until("document.querySelector('.copy-as .code').innerText.includes('100vw, 300px\"')")
    for wrong in ("50%", "wide", "300xp"):
        await console.fill(sizes, wrong)
        await console.until("document.querySelector('.copy-as .mistake') && !document.querySelector('.copy-as .code')")


async def test_a_mistake_in_the_address_is_explained_and_can_be_removed(console: Console, closed: Site) -> None:
    key = closed.new_key(*EVERYTHING, space="mistakes")
    image_id = await closed.upload(bearer(key))
    await console.open(f"#/images/{image_id}.webp?thum=300&blur=2", key=key)
    assert "did you mean 'thumb'?" in await console.text(".stage-error")
    assert not await console.run("document.querySelector('.stage .busy.on')")
    assert "thum=300" in await console.text(".copy-as .code"), "what is shown is what is copied"
    await console.click("Remove thum=300")
    await console.until("location.hash.endsWith('.webp?blur=2')")
    await console.until("!document.querySelector('.stage-error') && document.querySelector('.after')?.naturalWidth")
    await console.open(f"#/images/{image_id}.heic", key=key)
    await console.element(".stage-error")
    assert await console.run("document.querySelector('.side select').selectedOptions[0].innerText") == "HEIC"


async def test_labels_that_are_not_saved_are_not_lost_without_a_question(console: Console, closed: Site) -> None:
    key = closed.new_key(*EVERYTHING, space="unsaved")
    image_id = await closed.upload(bearer(key))
    await console.open(f"#/images/{image_id}", key=key)
    await console.run("(window.asked = [], window.confirm = (text) => !asked.push(text))")
    await console.fill('[name="title"]', "Sunset")
    await console.click("All images")
    await console.until("asked.length === 1 && location.hash.startsWith('#/images/')")
    assert await console.run("document.querySelector('[name=title]').value") == "Sunset"
    await console.click("Save")
    await console.until("document.querySelector('.save-row').innerText.includes('Saved')")
    await console.click("All images")
    await console.until(f"{TILES} === 1 && asked.length === 1")


async def test_names_of_files_that_failed_stay_readable(console: Console, closed: Site, tmp_path: Path) -> None:
    """Also when their rows change places while they fail."""
    files = []
    for number in range(6):
        files.append(tmp_path / f"notes {number}.jpg")
        files[-1].write_text("no picture")
    await console.open(key=closed.new_key(*EVERYTHING, space="many-wrong-files"))
    await console.drop(photo(tmp_path), *files)
    await console.until("document.querySelectorAll('.upload.failed').length === 6")
    await console.until("document.querySelector('.upload.done')")
    names = "[...document.querySelectorAll('.upload-name > :first-child')].map((each) => each.offsetWidth)"
    assert min(await console.run(names)) > 40
    assert await console.text(".uploads h2") == "Not all were added"


async def test_a_picture_that_is_loaded_has_no_colour_behind_it(console: Console, closed: Site) -> None:
    key = closed.new_key(*EVERYTHING, space="colours")
    image_id = await closed.upload(bearer(key))
    await console.open(f"#/images/{image_id}", key=key)
    shown = "document.querySelector('.stage img')"
    await console.until(f"{shown}?.naturalWidth && !{shown}.style.backgroundColor")


async def test_who_needs_no_key_learns_how_to_make_one_and_signs_nothing(
    browser: Browser, local: Site, closed: Site, console: Console
) -> None:
    open_console = Console(browser, local.url)
    await open_console.open("#/sign-in")
    assert "imgsvc keys create me --scope admin" in await console.text(".sign-in")
    image_id = await local.upload(query="?visibility=private")
    await open_console.open(f"#/images/{image_id}.webp?thumb=40")
    await console.text(".copy-as .code")
    assert "not public" not in await console.text(".copy-as")

    key = closed.new_key(*EVERYTHING, space="no-signing")
    image_id = await closed.upload(bearer(key), "?visibility=private")
    await console.open(f"#/images/{image_id}.webp?thumb=40", key=key)
    assert "a key with the scope sign" in await console.text(".copy-as .hint")


_FAST = """(async () => {
    const address = new Set();
    const input = document.querySelector(%s);
    for (const value of %s) {
        input.value = value;
        input.dispatchEvent(new Event("input", { bubbles: true }));
        await new Promise((done) => (Math.random() < 0.5 ? queueMicrotask(done) : setTimeout(done)));
    }
    for (let frame = 0; frame < 40; frame++) {
        await new Promise(requestAnimationFrame);
        if (frame > 20) address.add(location.hash.split("?")[1]);
    }
    return [...address];
})()"""
"""Change a value faster than the page is drawn, and say which operations its address then has."""


@pytest.mark.parametrize(
    ("field", "values"),
    [(".step [type=range]", [*range(41, 61)]), (".step input:not([type=range])", ["1", "12", "123", "1", "15"])],
    ids=["slider", "box"],
)
async def test_the_last_value_wins_however_fast_it_changes(
    console: Console, closed: Site, field: str, values: list[object]
) -> None:
    image_id = await closed.upload(bearer(closed.key))
    chain = "blur=2&grayscale"
    for _ in range(3):
        await console.open(
            f"#/images/{image_id}.webp?thumb=40&{chain}", closed.key, "!!document.querySelector('.stage img')"
        )
        addresses = await console.run(_FAST % (json.dumps(field), json.dumps(values)))
        assert addresses == [f"thumb={values[-1]}&{chain}"]
        assert await console.run(f"document.querySelector({json.dumps(field)}).value") == str(values[-1])
