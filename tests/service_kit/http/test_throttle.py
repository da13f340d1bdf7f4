"""Wrong keys and signatures, counted by address."""

import pytest

from service_kit.access import ANYBODY, Identity
from service_kit.errors import TooManyRequests, WrongCredential
from service_kit.http.throttle import Throttle


class Door:
    """A throttle, its clock, and one right credential."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked = 0
        self._throttle = Throttle(lambda: self.now)

    async def knock(self, address: str, credential: str) -> str:
        """What happens to a credential: `in`, `wrong` or `wait`."""

        async def identify() -> Identity:
            self.asked += 1
            if credential != "right":
                raise WrongCredential("wrong")
            return ANYBODY

        try:
            await self._throttle.checked(address, credential, identify)
        except WrongCredential:
            return "wrong"
        except TooManyRequests as error:
            return "wait" if error.retry_after else "wait, but for how long?"
        return "in"


async def test_an_address_gets_thirty_tries_in_ten_seconds() -> None:
    door = Door()
    answers = [await door.knock("a", f"guess {number}") for number in range(100)]
    assert answers == ["wrong"] * 30 + ["wait"] * 70
    assert door.asked == 30
    assert await door.knock("b", "guess") == "wrong", "others do not notice"
    door.now = 10
    assert [await door.knock("a", f"later {number}") for number in range(31)] == ["wrong"] * 30 + ["wait"]


async def test_a_steady_trickle_is_not_refused() -> None:
    door = Door()
    for number in range(200):
        door.now = number / 2
        assert await door.knock("a", f"guess {number}") == "wrong"


@pytest.mark.parametrize(("before", "answer"), [(True, "in"), (False, "wait")])
async def test_what_was_right_within_an_hour_is_not_refused(before: bool, answer: str) -> None:
    door = Door()
    if before:
        assert await door.knock("a", "right") == "in"
    for number in range(40):
        await door.knock("a", f"guess {number}")
    assert await door.knock("a", "right") == answer
