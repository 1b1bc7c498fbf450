"""What people mean by the times they write."""

import contextlib
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.errors import AskError
from bot.reasoning.phrases import WindowPhrase, read_overrides, read_window

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 20, 15, 30, tzinfo=BERLIN)  # a Friday


def at(text: str, zone: ZoneInfo = BERLIN, now: datetime = NOW) -> tuple[str, str]:
    """The window in `text` as local day and time."""
    window = found(text, zone, now)
    start, end = (datetime.fromtimestamp(moment, zone) for moment in (window.start_s, window.end_s))
    return f"{start:%a %H:%M}", f"{end:%a %H:%M}"


def found(text: str, zone: ZoneInfo = BERLIN, now: datetime = NOW) -> WindowPhrase:
    window = read_window(text, now_s=now.timestamp(), zone=zone)
    assert window is not None
    return window


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("checkout slow last 2h", ("Fri 13:30", "Fri 15:30")),
        ("past 30 minutes", ("Fri 15:00", "Fri 15:30")),
        ("for the last hour", ("Fri 14:30", "Fri 15:30")),
        ("last 1h30m", ("Fri 14:00", "Fri 15:30")),
        ("since 14:00", ("Fri 14:00", "Fri 15:30")),
        ("since about 3pm", ("Fri 15:00", "Fri 15:30")),
        ("since 10:00 UTC", ("Fri 11:00", "Fri 15:30")),
        ("why since 14:00 yesterday?", ("Thu 14:00", "Fri 15:30")),
        ("since yesterday 22:30", ("Thu 22:30", "Fri 15:30")),
        ("since Monday", ("Mon 00:00", "Fri 15:30")),
        ("yesterday 9 to 10", ("Thu 09:00", "Thu 10:00")),
        ("from 9 to 10am yesterday", ("Thu 09:00", "Thu 10:00")),
        ("between 9:15 and 10:05", ("Fri 09:15", "Fri 10:05")),
        ("from 13:00 until 14:30", ("Fri 13:00", "Fri 14:30")),
        ("from 22:00 to 02:00", ("Thu 22:00", "Fri 02:00")),
        ("broke at 14:02", ("Fri 13:47", "Fri 14:17")),
        ("today", ("Fri 00:00", "Fri 15:30")),
        ("yesterday", ("Thu 00:00", "Fri 00:00")),
        ("this morning", ("Fri 06:00", "Fri 12:00")),
        ("last night", ("Thu 18:00", "Fri 06:00")),
        ("on 2026-11-18 from 10:00 to 11:00", ("Wed 10:00", "Wed 11:00")),
        ("2026-11-18T10:00:00Z", ("Wed 10:45", "Wed 11:15")),
        ("since 2026-11-18 10:00", ("Wed 10:00", "Fri 15:30")),
        ("from 2026-11-18T10:00:00-05:00 to 2026-11-18T11:00:00-05:00", ("Wed 16:00", "Wed 17:00")),
        ("10 minutes ago", ("Fri 15:20", "Fri 15:30")),
        ("broken since 2 hours ago", ("Fri 13:30", "Fri 15:30")),
        ("since=2h", ("Fri 13:30", "Fri 15:30")),
        ("since=yesterday 22:30 until=yesterday 23:00", ("Thu 22:30", "Thu 23:00")),
        ('checkout since="14:00" until=15:00 please', ("Fri 14:00", "Fri 15:00")),
        ("until=14:00", ("Fri 13:00", "Fri 14:00")),
        ("until 14:00", ("Fri 13:00", "Fri 14:00")),
        ("since 2h", ("Fri 13:30", "Fri 15:30")),
        ("until=17:00 since=16:30", ("Thu 16:30", "Thu 17:00")),
        ("since=11:00 until=10m", ("Fri 11:00", "Fri 15:20")),
        ("since=22:00 until=24:00", ("Thu 22:00", "Fri 00:00")),
    ],
)
def test_windows_are_read_as_people_mean_them(text: str, window: tuple[str, str]) -> None:
    assert at(text) == window


@pytest.mark.parametrize(
    "text",
    [
        "",
        "checkout is slow",
        "scale from 3 to 5 pods",
        "10.0.0.1:80 refuses",
        "from checkout to payments",
        "v1.2.3 since deploy",
        "since the deploy",
        "worse than the last deploy",
        "like the past incident",
        "the last 5 deploys",
        "since 3 deploys",
        "since 1.2.3",
        "latency went past 500ms",
        "5xx since v2, last 5xx was a 503",
        "up to 10.0.0.1:80",
        "from 00:11:22:33:44:55 to 10:20::1",
    ],
)
def test_where_no_time_is_said_there_is_no_window(text: str) -> None:
    assert read_window(text, now_s=NOW.timestamp(), zone=BERLIN) is None


def test_the_phrase_can_be_cut_out_of_the_question() -> None:
    text = "why is checkout slow since 14:00 yesterday, please?"

    window = found(text)

    assert text[window.start : window.end] == "since 14:00 yesterday"


def test_a_time_still_to_come_is_yesterdays_and_the_assumption_says_so() -> None:
    window = found("since 18:00")

    assert at("since 18:00")[0] == "Thu 18:00"
    assert "18:00 is still to come today, so yesterday is meant." in window.assumption
    assert "Europe/Berlin" in window.assumption


def test_an_hour_that_clocks_skipped_is_moved_on_and_said() -> None:
    now = datetime(2026, 3, 29, 12, 0, tzinfo=BERLIN)

    window = found("since 2:30", now=now)

    assert at("since 2:30", now=now)[0] == "Sun 03:30"
    assert "02:30 does not exist on 2026-03-29 because clocks went forward; 03:30 was taken." in window.assumption


def test_an_hour_that_comes_twice_begins_at_its_first_and_ends_at_its_second() -> None:
    now = datetime(2026, 10, 25, 12, 0, tzinfo=BERLIN)

    window = found("from 2:15 to 2:30", now=now)

    assert window.end_s - window.start_s == 75 * 60
    assert "02:15 comes twice on 2026-10-25 because clocks went back; the first was taken." in window.assumption


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("from 15:00 to 14:00", "ends before it starts"),
        ("from 14:00 to 14:00", "empty"),
        ("last 0 minutes", "empty"),
        ("since 2026-11-25", "future"),
        ("tomorrow", "future"),
        ("last 8 days", "longer than 7 days"),
        ("since 2026-10-01", "longer than 7 days"),
        ("since 2026-02-30", "not a date"),
        ("since=bogus", "not a time"),
        ("checkout last -5m", "“last -5m” is not a time"),
        ("past -1 hour", "not a time"),
        ("since 25:00", "“since 25:00” is not a time"),
        ("since 25:00 yesterday", "not a time"),
        ("since 14:99?", "not a time"),
        ("since 13pm", "not a time"),
        ("since 9", "not a time"),
        ("since 18.11.2026", "not a time"),
        ("last 5", "not a time"),
        ("last 2h30", "not a time"),
        ("last 2 months", "not a time"),
        ("last 999999999999h", "longer than 7 days"),
        ("last 99999999999999999h", "not a time"),
        ("until 25:00", "not a time"),
        ("from 14:00 to 25:00", "not a time"),
        ("from 25:00 to 26:00", "not a time"),
        ("yesterday at 25:00", "not a time"),
        ("since=2026-11-18T25:00", "not a time"),
        ("at 2026-11-18T25:00", "not a time"),
        ("until=10:00 since=11:00", "ends before it starts"),
        ("since=17:00 until=16:00", "ends before it starts"),
        ("since=yesterday 11:00 until=yesterday 10:00", "ends before it starts"),
    ],
)
def test_a_window_that_cannot_be_is_refused_with_a_remedy(text: str, sentence: str) -> None:
    with pytest.raises(AskError) as refused:
        read_window(text, now_s=NOW.timestamp(), zone=BERLIN)

    assert sentence in refused.value.message
    assert refused.value.remedy


def test_overrides_are_taken_out_of_the_question() -> None:
    overrides, rest = read_overrides(
        "checkout slow service=pay env=\"prod eu\" since='yesterday 22:30' x=1 until=2h now"
    )

    assert overrides == {"service": "pay", "env": "prod eu", "since": "yesterday 22:30", "until": "2h"}
    assert rest == "checkout slow x=1 now"


def test_a_space_after_the_equals_sign_does_not_lose_the_value() -> None:
    assert read_overrides("slow service= checkout env=prod") == ({"service": "checkout", "env": "prod"}, "slow")


@pytest.mark.parametrize(
    ("text", "code"), [("slow service=", "ASK-010"), ("env= service=cart", "ASK-011"), ("slow since= ", "ASK-030")]
)
def test_a_key_without_a_value_is_refused(text: str, code: str) -> None:
    with pytest.raises(AskError) as refused:
        read_overrides(text)

    assert refused.value.code == code
    assert refused.value.remedy


_WORD = st.sampled_from(
    (
        *(
            "since",
            "until",
            "last",
            "from",
            "to",
            "between",
            "and",
            "at",
            "on",
            "yesterday",
            "today",
            "monday",
            "ago",
            "this",
        ),
        *(
            "14:00",
            "24:00",
            "9",
            "2h",
            "30",
            "minutes",
            "2026-11-18",
            "9999-99-99",
            "0001-01-01",
            "T10:00",
            "Z",
            "+25:99",
        ),
        *(
            "am",
            "pm",
            "noon",
            "morning",
            "since=",
            "until=",
            "=",
            '"',
            ":",
            "-",
            "999999",
            "weeks",
            "½",
            "٣",
            "İ",
            "\x00",
        ),
    )
)


@given(
    st.one_of(
        st.text(max_size=80), st.lists(_WORD, max_size=10).map(" ".join), st.lists(_WORD, max_size=10).map("".join)
    ),
    st.sampled_from(("Europe/Berlin", "Pacific/Apia", "America/St_Johns", "UTC", "Asia/Kathmandu")),
)
@settings(max_examples=500, deadline=None)
def test_whatever_is_written_gives_a_past_window_or_none_or_a_refusal(text: str, zone: str) -> None:
    try:
        read_overrides(text)
        window = read_window(text, now_s=NOW.timestamp(), zone=ZoneInfo(zone))
    except AskError:
        return

    if window is not None:
        assert window.start_s < window.end_s <= NOW.timestamp()
        assert 0 <= window.start < window.end <= len(text)


@pytest.mark.parametrize(
    "unit", ["since ", "last 9", "1h", "14:00 to ", "2026-11-18 ", "a ", "   ", 'since="', "9-", "5 m"]
)
def test_long_hostile_text_costs_no_more_than_its_length(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    start = time.process_time()

    with contextlib.suppress(AskError):
        read_window(text, now_s=NOW.timestamp(), zone=BERLIN)
    with contextlib.suppress(AskError):
        read_overrides(text)

    assert time.process_time() - start < 1.0
