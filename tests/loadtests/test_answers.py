"""Checks of answers: status, type, size and pixels."""

from dataclasses import dataclass, field

import pytest
import pyvips

from loadtests import checks, pixels
from loadtests.photos import mean_colour
from loadtests.variants import Expected
from tests import pictures

BODY = pictures.jpeg(64, 48)
EXPECTED = Expected("image/jpeg", 64, 48, mean_colour(pictures.gradient(64, 48)))


@dataclass
class Answer:
    status_code: int = 200
    content: bytes = BODY
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "image/jpeg"})


def test_a_right_answer_passes() -> None:
    assert checks.image(Answer(), EXPECTED) is None
    assert pixels.difference(BODY, EXPECTED) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(404), "status 404"),
        (Answer(0), "no answer: the connection ended"),
        (Answer(headers={"Content-Type": "text/html"}), "text/html instead of image/jpeg"),
        (Answer(content=b"<html>" * 50), "the body is not image/jpeg"),
        (Answer(content=BODY[:20]), "the body is too small for an image"),
        (Answer(headers={"Content-Type": "image/jpeg", "Content-Length": "9"}), "the body is shorter than"),
    ],
)
def test_a_wrong_answer_is_reported(answer: Answer, said: str) -> None:
    assert (checks.image(answer, EXPECTED) or "").startswith(said)


def test_an_original_must_be_as_long_as_the_upload() -> None:
    assert checks.image(Answer(), Expected("image/jpeg", 64, 48, None, len(BODY))) is None
    wrong = checks.image(Answer(), Expected("image/jpeg", 64, 48, None, len(BODY) + 1))
    assert wrong == "the original is not as long as the upload"


def test_another_picture_of_the_same_size_is_wrong() -> None:
    other = bytes((pyvips.Image.black(64, 48, bands=3) + [200, 20, 20]).cast("uchar").jpegsave_buffer())
    assert pixels.difference(other, EXPECTED) == "pixels: another mean colour than the photo's"


def test_another_size_and_half_a_picture_are_wrong() -> None:
    assert pixels.difference(pictures.jpeg(50, 48), EXPECTED) == "pixels: 50 x 48 instead of 64 x 48"
    assert (pixels.difference(BODY[: len(BODY) // 2], EXPECTED) or "").startswith("the body cannot be decoded")


@pytest.mark.parametrize(("status", "refused"), [(429, True), (503, True), (500, False), (200, False)])
def test_a_clean_refusal_has_retry_after(status: int, refused: bool) -> None:
    def problem(headers: dict[str, str]) -> checks.Refused | checks.Wrong | None:
        return checks.problem(Answer(status, headers=headers), lambda _: None)

    assert isinstance(problem({"Retry-After": "1"}), checks.Refused) is refused
    assert problem({}) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(content=b"<html>"), "the answer is unreadable: JSONDecodeError"),
        (Answer(content=b"[]"), "the answer is unreadable: AttributeError"),
        (Answer(content=b'{"width": 1}'), "the facts have another width"),
        (Answer(content=b'{"width": 64}'), "the answer is unreadable: KeyError"),
        (Answer(content=b'{"width": 64, "image_id": 7}'), "the image_id is not a string"),
        (Answer(503, headers={}), "status 503"),
    ],
)
def test_an_unreadable_answer_is_wrong_and_does_not_end_the_visitor(answer: Answer, said: str) -> None:
    def check(answer: checks.Answer) -> str | None:
        return checks.facts(answer, 200, {"width": 64}) or checks.identified(answer)

    problem = checks.problem(answer, check)
    assert isinstance(problem, checks.Wrong)
    assert str(problem) == said


def test_a_length_that_is_not_a_number_is_wrong() -> None:
    odd = Answer(headers={"Content-Type": "image/jpeg", "Content-Length": "many"})
    assert str(checks.problem(odd, lambda a: checks.image(a, EXPECTED))) == "the answer is unreadable: ValueError"


def test_a_refusal_is_not_checked_further() -> None:
    refused = Answer(503, b"{", {"Retry-After": "1"})
    assert isinstance(checks.problem(refused, lambda _: "wrong"), checks.Refused)
    assert checks.problem(Answer(), lambda a: checks.image(a, EXPECTED)) is None


@pytest.mark.parametrize(
    ("status", "wrong"),
    [(400, None), (422, None), (200, "status 200"), (502, "status 502"), (0, "no answer: the connection ended")],
)
def test_hostile_requests_must_get_a_4xx(status: int, wrong: str | None) -> None:
    assert checks.rejected(Answer(status)) == wrong


def test_only_one_answer_in_some_seconds_is_decoded() -> None:
    sample = pixels.Sample(1000)
    assert [sample.due() for _ in range(3)] == [True, False, False]
