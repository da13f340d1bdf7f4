"""Bodies are looked at: status, type, size, and pixels."""

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


def test_a_right_answer_has_nothing_wrong() -> None:
    assert checks.image(Answer(), EXPECTED) is None
    assert pixels.difference(BODY, EXPECTED) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(404), "status 404"),
        (Answer(0), "no answer: the connection ended"),
        (Answer(headers={"Content-Type": "text/html"}), "text/html instead of image/jpeg"),
        (Answer(content=b"<html>" * 50), "the body is no image/jpeg"),
        (Answer(content=BODY[:20]), "the body is too small for an image"),
        (Answer(headers={"Content-Type": "image/jpeg", "Content-Length": "9"}), "the body is shorter than"),
    ],
)
def test_a_wrong_answer_is_told(answer: Answer, said: str) -> None:
    assert (checks.image(answer, EXPECTED) or "").startswith(said)


def test_an_original_is_as_long_as_what_was_uploaded() -> None:
    assert checks.image(Answer(), Expected("image/jpeg", 64, 48, None, len(BODY))) is None
    wrong = checks.image(Answer(), Expected("image/jpeg", 64, 48, None, len(BODY) + 1))
    assert wrong == "the original has another length than what was uploaded"


def test_another_picture_of_the_same_size_is_found_out() -> None:
    other = bytes((pyvips.Image.black(64, 48, bands=3) + [200, 20, 20]).cast("uchar").jpegsave_buffer())
    assert pixels.difference(other, EXPECTED) == "pixels: another mean colour than the photo's"


def test_another_size_and_half_a_picture_are_found_out() -> None:
    assert pixels.difference(pictures.jpeg(50, 48), EXPECTED) == "pixels: 50 x 48 instead of 64 x 48"
    assert (pixels.difference(BODY[: len(BODY) // 2], EXPECTED) or "").startswith("the body cannot be decoded")


@pytest.mark.parametrize(("status", "refused"), [(429, True), (503, True), (500, False), (200, False)])
def test_a_refusal_says_when_to_come_back(status: int, refused: bool) -> None:
    assert bool(checks.refusal(Answer(status, headers={"Retry-After": "1"}))) is refused
    assert checks.refusal(Answer(status, headers={})) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(content=b"<html>"), "the answer cannot be read: JSONDecodeError"),
        (Answer(content=b"[]"), "the answer cannot be read: AttributeError"),
        (Answer(content=b'{"width": 1}'), "the facts have another width"),
        (Answer(content=b'{"width": 64}'), "the answer cannot be read: KeyError"),
        (Answer(content=b'{"width": 64, "image_id": 7}'), "the image_id is no text"),
        (Answer(503, headers={}), "status 503"),
    ],
)
def test_an_answer_that_a_check_cannot_read_is_wrong_and_ends_no_visitor(answer: Answer, said: str) -> None:
    def check(answer: checks.Answer) -> str | None:
        return checks.facts(answer, 200, {"width": 64}) or checks.identified(answer)

    problem = checks.problem(answer, check)
    assert isinstance(problem, checks.Wrong)
    assert str(problem) == said


def test_a_length_that_is_no_number_is_wrong() -> None:
    odd = Answer(headers={"Content-Type": "image/jpeg", "Content-Length": "many"})
    assert str(checks.problem(odd, lambda a: checks.image(a, EXPECTED))) == "the answer cannot be read: ValueError"


def test_a_refusal_is_not_checked_and_a_right_answer_has_no_problem() -> None:
    refused = Answer(503, b"{", {"Retry-After": "1"})
    assert isinstance(checks.problem(refused, lambda _: "wrong"), checks.Refused)
    assert checks.problem(Answer(), lambda a: checks.image(a, EXPECTED)) is None


@pytest.mark.parametrize(("status", "wrong"), [(400, None), (422, None), (200, "status 200"), (502, "status 502")])
def test_what_is_hostile_must_be_refused_and_nothing_else(status: int, wrong: str | None) -> None:
    assert checks.refused_as_hostile(Answer(status)) == wrong


def test_a_sample_is_taken_now_and_then() -> None:
    sample = pixels.Sample(1000)
    assert [sample.due() for _ in range(3)] == [True, False, False]
