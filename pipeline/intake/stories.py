"""The five stories of the simulated customers, and the drawing of journeys. Pure.

browse: looks around. order: buys on line, gets a delivery, sometimes returns it or needs support. visit: buys in a
shop. app: uses the app. service: invoice, contract, support.
"""

from __future__ import annotations

import numpy as np

from pipeline.intake.cast import CHANNELS, METRICS, STORIES, TOUCHPOINTS, Cast, Columns, Draft, joined
from pipeline.intake.world import PRODUCTS, UNITS, Ints, Trouble, World, people_of

#: Share of journeys by story (in the order of STORIES), so that about 60 % of the events are touchpoints.
STORY_SHARES: tuple[float, ...] = (0.08, 0.40, 0.22, 0.12, 0.18)
#: No journey takes longer (at pace 1): the warm-up of a simulation.
LONGEST_MS = 14 * 24 * 3600 * 1000
#: Customers of whom a shop's terminal knows nothing: their answers carry the unit, no customer.
ANONYMOUS_SHARE = 0.05

_HOUR = 3600.0
_DAY = 24 * _HOUR


def draw(world: World, rng: np.random.Generator, starts: Ints, first: int) -> Columns:
    """All events of the journeys that begin at `starts` (ms), unsorted; `first` is the first journey's number."""
    size = len(starts)
    draft = Draft()
    everybody = Cast(
        world=world,
        people=people_of(world.seed, world.customers),
        rng=rng,
        draft=draft,
        story=0,
        number=np.arange(first, first + size, dtype=np.int64),
        # A few customers are busy, most come now and then.
        customer=(world.customers * rng.random(size) ** 1.6).astype(np.int32),
        time=starts,
        feeling=rng.normal(0.3, 0.35, size),
        product=rng.integers(0, len(PRODUCTS), size).astype(np.int8),
        value=(100 * rng.lognormal(3.6, 0.7, size)).astype(np.int32),
    )
    story = rng.choice(len(STORIES), size, p=STORY_SHARES)
    for number, tell in enumerate((_browse, _order, _visit, _app, _service)):
        draft.steps = 0
        tell(everybody.only(story == number).in_story(number))
    return _without_some_names(rng, world, joined(draft.parts))


def passers_by(rng: np.random.Generator, starts: Ints, first: int) -> Columns:
    """Single page views of people nobody knows; they fill a day up to its quota."""
    size = len(starts)
    return joined(
        [
            {
                "time": starts,
                # Below zero, so that they never meet a journey's numbers.
                "number": -np.arange(first + 1, first + 1 + size, dtype=np.int64),
                "customer": -1 - rng.integers(0, len(UNITS), size),
                "touch": TOUCHPOINTS.index("page_viewed"),
                "channel": CHANNELS.index("web"),
                "metric": -1,
                "product": rng.integers(0, len(PRODUCTS), size),
            }
        ]
    )


def _browse(cast: Cast) -> None:
    where = ("web", "survey")
    cast.did("page_viewed", "web", seconds=(3, 90))
    cast.some(0.6).later(10, 200).did("product_searched", "web", "ok")
    cast.some(0.5).later(60, 300).did("page_viewed", "web", seconds=(3, 90))
    cast.some(0.3).later(100, 600).said("page_viewed", "ces", where, ("checkout", "price", "app"))
    cast.some(0.02).later(_HOUR, _DAY).said("page_viewed", "text", ("social", "social"), ("price", "app"))


def _order(cast: Cast) -> None:
    by_app, by_web = cast.split(0.4)
    for people, channel in ((by_app, "app"), (by_web, "web")):
        people.did("page_viewed", channel, seconds=(3, 120))
        people.some(0.5).later(5, 100).did("product_searched", channel, "ok")
        _check_out(people.later(60, 900), channel)


def _check_out(cast: Cast, channel: str) -> None:
    failed, worked = cast.split(cast.trouble(Trouble.FAILED_CHECKOUT, 0.05))
    failed.did("checkout", channel, "fail", seconds=(20, 300))
    failed.feels(-1.9).later(10, 90).said("checkout", "ces", (channel, "survey"), ("checkout", "app"), 0.7)
    failed.feels(-1.4).later(_HOUR, 5 * _HOUR).said("checkout", "nps", ("email", "survey"), ("checkout", "price"), 0.4)
    _support(failed.some(0.2).feels(-1.0).later(200, 4 * _HOUR), "checkout")
    gave_up, went_on = worked.split(0.10)
    gave_up.did("checkout", channel, "abandon", seconds=(5, 100))
    went_on.did("checkout", channel, "ok", seconds=(20, 200))
    went_on.feels(0.15).later(5, 60).said("checkout", "ces", (channel, "survey"), ("checkout", "price"), 0.6)
    declined, paid = went_on.later(5, 40).split(0.03)
    declined.did("payment", channel, "fail").feels(-1.2).later(20, 100).said(
        "payment", "csat", (channel, "survey"), ("checkout", "billing"), 0.5
    )
    paid.did("payment", channel, "ok")
    ordered = paid.later(1, 4).did("order_placed", channel, "ok")
    _deliver(ordered.later(_DAY, 3 * _DAY))


def _deliver(cast: Cast) -> None:
    late, on_time = cast.split(cast.trouble(Trouble.LATE_DELIVERY, 0.08))
    late.did("delivery", "email", "fail")
    _judge_delivery(late.feels(-2.0).later(600, 3 * _HOUR))
    _support(late.feels(-1.3).some(0.35).later(_HOUR, _DAY), "delivery")
    late.later(_DAY, 3 * _DAY).did("delivery", "email", "ok")
    on_time.did("delivery", "email", "ok")
    _judge_delivery(on_time.feels(0.3).later(600, 6 * _HOUR))
    kept = on_time.later(2 * _DAY, 5 * _DAY)
    faulty, fine = kept.split(0.07)
    fine.said("delivery", "rating", ("review", "review"), ("quality", "price"), 0.4)
    faulty.feels(-1.4).said("delivery", "rating", ("review", "review"), ("quality",), 0.5)
    returned = faulty.some(0.7).later(_HOUR, _DAY).did("return_parcel", "web", "ok")
    returned.feels(-0.7).later(_DAY, 2 * _DAY).said("return_parcel", "ces", ("email", "survey"), ("billing",), 0.6)
    kept.some(0.2).did("invoice", "email", "ok")


def _judge_delivery(cast: Cast) -> None:
    cast.said("delivery", "csat", ("survey", "survey"), ("delivery",), 0.55)
    cast.later(60, _HOUR).said("delivery", "nps", ("email", "survey"), ("delivery", "price", "quality"), 0.55)
    cast.some(0.02).later(600, _DAY).said("delivery", "text", ("social", "social"), ("delivery",))


def _visit(cast: Cast) -> None:
    cast.did("store_visit", "store", seconds=(120, 3600))
    bought = cast.some(0.7).later(300, 2400).did("payment", "store", "ok")
    ill, well = cast.later(600, 3000).split(0.12)
    for people in (ill.feels(-1.6), well.feels(0.25)):
        people.said("store_visit", "csat", ("store", "survey"), ("staff", "price"), 0.5)
        people.later(_HOUR, _DAY).said("store_visit", "nps", ("survey", "survey"), ("staff", "quality"), 0.3)
    bought.some(0.1).later(_DAY, 4 * _DAY).said("store_visit", "rating", ("review", "review"), ("staff", "quality"))


def _app(cast: Cast) -> None:
    cast.did("app_session", "app", "ok", seconds=(10, 1200))
    crashed, fine = cast.later(10, 1000).split(0.06)
    crashed.did("app_session", "app", "fail")
    for people in (crashed.feels(-1.8), fine.feels(0.1)):
        people.later(5, 100).said("app_session", "rating", ("app", "review"), ("app",), 0.35)
        people.later(60, 600).said("app_session", "ces", ("app", "survey"), ("app",), 0.3)
    fine.some(0.4).later(60, 3600).did("product_searched", "app", "ok")


def _service(cast: Cast) -> None:
    cast.did("invoice", "email", "ok")
    wrong, right = cast.later(_HOUR, _DAY).split(0.2)
    wrong.feels(-1.0).said("invoice", "csat", ("email", "survey"), ("billing", "price"), 0.5)
    right.said("invoice", "csat", ("email", "survey"), ("billing", "price"), 0.2)
    _support(wrong.feels(-0.6).later(600, _DAY), "billing")
    _support(right.some(0.25), "support")
    renewing = right.some(0.5).later(_DAY, 6 * _DAY)
    renewed, left = renewing.split(0.85)
    renewed.did("contract_renewal", "web", "ok").later(_HOUR, _DAY).said(
        "contract_renewal", "nps", ("survey", "survey"), ("price", "billing", "support"), 0.6
    )
    left.did("contract_renewal", "web", "abandon").feels(-1.5).later(_HOUR, _DAY).said(
        "contract_renewal", "nps", ("survey", "survey"), ("price", "billing"), 0.5
    )


def _support(cast: Cast, reason: str) -> None:
    """Call or chat; solved in most cases, which lifts the mood above where it was before."""
    by_call, by_chat = cast.split(0.5)
    for people, channel in ((by_call, "call"), (by_chat, "chat")):
        touch = "support_call" if channel == "call" else "support_chat"
        unsolved, solved = people.split(people.trouble(Trouble.SLOW_SUPPORT, 0.2))
        unsolved.did(touch, channel, "fail", seconds=(300, 3000))
        unsolved.feels(-0.9).later(60, 900).said(touch, "thumb", (channel, "survey"), ("support", reason), 0.6)
        unsolved.feels(-0.9).some(0.3).later(_HOUR, _DAY).said(
            touch, "text", (channel if channel == "chat" else "email", "email"), ("support", reason)
        )
        solved.did(touch, channel, "ok", seconds=(60, 900))
        closed = solved.later(600, _DAY).did("ticket_solved", channel, "ok").feels(1.5)
        closed.later(60, 4 * _HOUR).said("ticket_solved", "csat", (channel, "survey"), ("support",), 0.6)
        closed.later(_HOUR, _DAY).said("ticket_solved", "ces", ("email", "survey"), ("support",), 0.35)


def _without_some_names(rng: np.random.Generator, world: World, columns: Columns) -> Columns:
    """Takes the customer from some answers given at a shop's terminal; the unit stays (customer = -1 - unit)."""
    shop = (columns["channel"] == CHANNELS.index("store")) & (columns["metric"] >= METRICS.index("nps"))
    nameless = shop & (rng.random(len(shop)) < ANONYMOUS_SHARE)
    customer = columns["customer"].astype(np.int32)
    unit = people_of(world.seed, world.customers).unit
    customer[nameless] = -1 - unit[customer[nameless]]
    return {**columns, "customer": customer}
