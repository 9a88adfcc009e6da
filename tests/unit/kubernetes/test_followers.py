"""What is followed ends when it is idle and something else begins; a few are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from weir.kubernetes.followers import FEW, IDLE_SECONDS, Followers
from weir.kubernetes.following import Following


@dataclass
class Followed:
    idle: float = 0.0
    has_ended: bool = False
    is_over: bool = False

    def idle_seconds(self) -> float:
        return self.idle

    def close(self) -> None:
        self.has_ended = True


def begun(followers: Followers, key: str, idle: float = 0.0) -> Followed:
    made = followers.follow(key, lambda: cast(Following, Followed(idle)))
    return cast(Followed, made)


def test_a_key_is_followed_once() -> None:
    followers = Followers()
    assert followers.get("a") is None
    first = begun(followers, "a")
    assert begun(followers, "a") is first
    assert followers.get("a") is first


def test_the_few_that_were_asked_last_are_kept() -> None:
    followers = Followers()
    many = [begun(followers, f"busy-{number}") for number in range(FEW + 3)]
    for number, each in enumerate(many):
        each.idle = IDLE_SECONDS + 1 + number
    begun(followers, "another")
    assert [each.has_ended for each in many] == [False] * FEW + [True] * 3
    assert followers.get("busy-0") is many[0]
    assert followers.get(f"busy-{FEW}") is None


def test_what_is_in_use_is_kept_whatever_their_number() -> None:
    followers = Followers()
    many = [begun(followers, f"busy-{number}") for number in range(10 * FEW)]
    assert not any(each.has_ended for each in many)


def test_forgetting_ends_it() -> None:
    followers = Followers()
    followed = begun(followers, "a")
    followers.forget("a")
    followers.forget("a")
    assert followed.has_ended
    assert begun(followers, "a") is not followed


def test_what_has_ended_or_died_is_begun_anew() -> None:
    followers = Followers()
    first = begun(followers, "a")
    first.is_over = True
    assert followers.get("a") is None
    second = begun(followers, "a")
    assert second is not first
    assert followers.get("a") is second
