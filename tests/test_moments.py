from datetime import UTC, datetime

from baseline.moments import iso_time

NOON = 1_795_392_000_000_000_000


def test_moments_are_utc_and_never_later_than_they_are() -> None:
    assert iso_time(0) == "1970-01-01T00:00:00.000000Z"
    assert iso_time(NOON + 999_999_999) == "2026-11-23T00:00:00.999999Z"
    assert iso_time(NOON + 999_999_999, "milliseconds") == "2026-11-23T00:00:00.999Z"
    assert iso_time(NOON + 999_999_999, "seconds") == "2026-11-23T00:00:00Z"
    assert iso_time(NOON + 999) == "2026-11-23T00:00:00.000000Z"


def test_moments_are_exact_beyond_what_a_float_holds() -> None:
    moment = datetime(2286, 11, 20, 17, 46, 39, 999_999, UTC)
    nanoseconds = 9_999_999_999_999_999_999
    assert iso_time(nanoseconds) == moment.isoformat().replace("+00:00", "Z")
