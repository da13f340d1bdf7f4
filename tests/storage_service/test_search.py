"""Finding images, in every metadata store."""

import dataclasses
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service_kit.ids import new_image_id
from storage_service import search as search_module
from storage_service.metadata.base import ImageRecord, MetadataStore, Position
from storage_service.search import Filters, search
from storage_service.terms import added_terms, changed_terms, forget_deleted
from tests.storage_service.test_metadata import NOW, record


async def add(store: MetadataStore, *records: ImageRecord) -> None:
    for each in records:
        async with store.lock_content(each.sha256) as content:
            await content.add(each, None, added_terms(each))


async def found(store: MetadataStore, **filters: object) -> set[str]:
    """The titles of what is found."""
    return {each.title for each in (await search(store, Filters(**filters), 50, None)).images}  # type: ignore[arg-type]


def labelled(number: int, title: str, *tags: str, **changes: object) -> ImageRecord:
    return record(number, title=title, tags=json.dumps(tags), **changes)


async def test_words_are_found_in_every_text_in_any_spelling_and_order(store: MetadataStore) -> None:
    await add(
        store,
        labelled(1, "Café in Zürich"),
        labelled(2, "b", "Summer Holiday"),
        labelled(3, "c", alt="A red car, parked"),
        labelled(4, "d", original_filename="IMG_2041-Große.JPG"),
        labelled(5, "東京タワーの夜景"),
    )
    for words, titles in (
        ("cafe", {"Café in Zürich"}),
        ("ZÜRICH café", {"Café in Zürich"}),
        ("holiday", {"b"}),
        ("parked red", {"c"}),
        ("2041", {"d"}),
        ("grosse", {"d"}),
        ("img jpg", {"d"}),
        ("red holiday", set()),
        ("zur", {"Café in Zürich"}),
        ("zur cafe", set()),
        ("夜景", {"東京タワーの夜景"}),
        ("タワー 東京", {"東京タワーの夜景"}),
        ("京都", set()),
        ("red red", {"c"}),
        ("!?", {"Café in Zürich", "b", "c", "d", "東京タワーの夜景"}),
    ):
        assert await found(store, words=words) == titles, words


async def test_the_last_word_may_be_a_beginning_even_of_many_words(store: MetadataStore) -> None:
    await add(store, *(labelled(number, f"pic{number:02}") for number in range(30)))
    assert len(await found(store, words="pic0")) == 10
    assert len(await found(store, words="pic")) == 20, "the first twenty of those words"
    assert await found(store, words="pic07") == {"pic07"}


async def test_images_have_all_tags_that_are_asked_for(store: MetadataStore) -> None:
    await add(
        store, labelled(1, "a", "sea", "boat"), labelled(2, "b", "Sea"), labelled(3, "sea"), labelled(4, "d", "seaside")
    )
    assert await found(store, tags=["sea"]) == {"a", "b"}
    assert await found(store, tags=["SEA", "boat"]) == {"a"}
    assert await found(store, tags=["boat"], words="sea") == {"a"}


async def test_facts_are_limits(store: MetadataStore) -> None:
    await add(
        store,
        labelled(1, "wide", width=3000, height=100),
        labelled(2, "tall", width=100, height=3000, format="jpeg"),
        labelled(3, "old", created_at=NOW - timedelta(days=2)),
        labelled(4, "hidden", visibility="private", space="tenant"),
        labelled(5, "expired", expires_at=NOW),
    )
    assert await found(store, min_width=3000) == {"wide"}
    assert await found(store, max_width=100, min_height=3000) == {"tall"}
    assert await found(store, max_height=99) == set()
    assert await found(store, format="jpeg") == {"tall"}
    assert await found(store, created_before=NOW - timedelta(days=2)) == set()
    assert await found(store, created_before=NOW) == {"old"}
    assert await found(store, created_after=NOW) == {"wide", "tall", "hidden"}
    assert await found(store, visibility="private") == {"hidden"}
    assert await found(store, space="tenant") == {"hidden"}


async def test_a_change_and_a_deletion_change_what_is_found(store: MetadataStore) -> None:
    image = labelled(1, "before", "tag")
    await add(store, image)
    changed = image.model_copy(update={"title": "after", "tags": "[]"})
    title = ("UPDATE images SET title = $2 WHERE image_id = $1", image.image_id, "after")
    assert await store.change_together(title, *changed_terms(changed))
    assert await found(store, words="before") == await found(store, tags=["tag"]) == set()
    assert await found(store, words="after") == {"after"}
    assert await store.mark_deleted(image.image_id, NOW, NOW)
    assert await found(store, words="after") == set()
    assert await store.fetch("SELECT count(*) FROM terms") == [(0,)]


async def test_many_words_are_found_too(store: MetadataStore) -> None:
    words = [f"word{number}" for number in range(100)]
    await add(store, record(1, title="many", alt=" ".join(words)))
    for word in words:
        assert await found(store, words=word) == {"many"}


_WORDS = st.sampled_from(["red", "blue", "sea", "seaside", "car", "cars"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_pages_of_a_search_are_what_a_scan_finds(store: MetadataStore, data: st.DataObject) -> None:
    await store.change("DELETE FROM terms")
    await store.change("DELETE FROM images")
    titles = data.draw(st.lists(st.lists(_WORDS, max_size=3).map(" ".join), max_size=12))
    images = [record(0, title=title, image_id=new_image_id()) for title in titles]
    await add(store, *images)
    query = data.draw(st.lists(_WORDS, min_size=1, max_size=2))
    collected: list[str] = []
    after: Position | None = None
    while True:
        page = await search(store, Filters(words=" ".join(query)), 2, after)
        collected += [each.image_id for each in page.images]
        if (after := page.next) is None:
            break
    patterns = [rf"\b{word}\b" for word in query[:-1]] + [rf"\b{query[-1]}"]
    wanted = [each for each in images if all(re.search(pattern, each.title) for pattern in patterns)]
    assert collected == [each.image_id for each in sorted(wanted, key=lambda each: each.image_id, reverse=True)]


async def test_a_space_knows_nothing_of_others(store: MetadataStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither their images, nor their words, nor where they are in the list."""
    monkeypatch.setattr(search_module, "_MOST_CANDIDATES", 5)
    mine = labelled(0, "report", "mine", space="mine")
    others = [labelled(number, f"rep{number:02}", "mine", space="others") for number in range(1, 31)]
    await add(store, mine, *others)
    for filters in (Filters(), Filters(words="rep"), Filters(tags=["mine"]), Filters(words="report", tags=["mine"])):
        page = await search(store, dataclasses.replace(filters, space="mine"), 10, None)
        assert [each.image_id for each in page.images] == [mine.image_id], filters
        assert page.next is None, "a position is an image"


async def test_a_search_stops_and_says_where_to_go_on(store: MetadataStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "_MOST_CANDIDATES", 5)
    await add(
        store, *(labelled(number, f"n{number}", "tag", format="jpeg" if number % 7 else "png") for number in range(20))
    )
    for filters in (Filters(format="png"), Filters(format="png", tags=["tag"]), Filters(format="png", words="n")):
        pages, after = [], None
        while True:
            found_now = await search(store, filters, 10, after)
            pages.append([each.title for each in found_now.images])
            if (after := found_now.next) is None:
                break
        assert [title for page in pages for title in page] == ["n14", "n7", "n0"], filters
        assert [] in pages, "a page may be empty before the end"


async def test_terms_of_images_that_an_older_version_deleted_are_removed(store: MetadataStore) -> None:
    kept, deleted = labelled(1, "kept"), labelled(2, "deleted")
    await add(store, kept, deleted)
    await store.change("UPDATE images SET deleted_at = $2 WHERE image_id = $1", deleted.image_id, datetime.now(UTC))
    await forget_deleted(store)
    assert await store.fetch("SELECT image_id FROM terms") == [(kept.image_id,)]
