"""W10 and section 5: datetime, date, time, timedelta, timezone.utc; native from 3.13 on."""
import copy
import datetime
import pickle
import sys

import _stoa_testing as c
from . import case

NATIVE = sys.version_info >= (3, 13)
UTC = datetime.timezone.utc


def minutes(token):
    return datetime.timedelta(minutes=int(token, 16) % 100000)


START = datetime.datetime(2020, 1, 2, 3, 4, 5, 678)

KINDS = {
    "datetime": lambda token: START + minutes(token),
    "datetime_utc": lambda token: START.replace(tzinfo=UTC) + minutes(token),
    "date": lambda token: (START + minutes(token)).date(),
    "time": lambda token: (START + minutes(token)).time(),
    "time_utc": lambda token: (START + minutes(token)).time().replace(tzinfo=UTC),
    "timedelta": minutes,
    "datetime_fold": lambda token: (START + minutes(token)).replace(fold=1),
}


def on_all(prefix):
    def register(operation):
        for label, make in KINDS.items():
            case(f"{prefix}_{label}", make, when=NATIVE)(operation)
        return operation

    return register


@on_all("W10_hash")
def _(d):
    return hash(d), {d: 1}[d], d in {d}, type(d).__name__, isinstance(d, (datetime.date, datetime.time, datetime.timedelta))


@on_all("W10_text_and_pickle")
def _(d):
    return repr(d), str(d), pickle.loads(pickle.dumps(d)), copy.deepcopy(d), copy.copy(d), d == copy.copy(d), f"{d}"


@on_all("W18_refcount_calls")
def _(d):
    c.set_refcnt(d)
    c.count_references(d)
    return d


@case("W10_datetime_arithmetic", KINDS["datetime"], when=NATIVE)
def _(d):
    return (d.year, d.isoformat(), d + datetime.timedelta(1), d - START, d < START, d.replace(year=2021), d.date(), d.time(), d.timetuple().tm_yday,
            d.strftime("%Y-%m-%d"), d.weekday(), d.replace(tzinfo=UTC).timestamp(), max(d, START), d.tzinfo, d.utcoffset())


@case("W10_datetime_utc_arithmetic", KINDS["datetime_utc"], when=NATIVE)
def _(d):
    return d.tzinfo is UTC, d.utcoffset(), d.isoformat(), d.astimezone(datetime.timezone(datetime.timedelta(hours=2))), d.timestamp(), d == d.replace(), d.tzname()


@case("W10_timedelta_arithmetic", KINDS["timedelta"], when=NATIVE)
def _(d):
    return d + d, d * 2, d / 2, d // 3, -d, abs(d), d.total_seconds(), d.days, d < d + d, bool(d), START + d, sum([d, d], datetime.timedelta())


@case("W10_date_and_time_use", lambda token: (KINDS["date"](token), KINDS["time"](token)), when=NATIVE)
def _(pair):
    date, time = pair
    return date.isocalendar(), date.toordinal(), datetime.datetime.combine(date, time), time.replace(hour=1), date + datetime.timedelta(2), time.isoformat(), sorted(
        [date, datetime.date(2000, 1, 1)]), time.hour, date.ctime()


@case("S5_timezone_utc", lambda token: (UTC, START.replace(tzinfo=UTC)), when=NATIVE)
def _(pair):
    return pair[0] is UTC, pair[1].tzinfo is UTC, repr(pair[0]), hash(pair[0]) == hash(UTC)
