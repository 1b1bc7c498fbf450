"""A shop that runs: topology, seed and fault in, numbers, lines and changes of any window out."""

import math
from collections import OrderedDict

import numpy as np

from bot.demo.shop import http, resources
from bot.demo.shop.day import DAY_S, Day, day
from bot.demo.shop.family import Family, Row
from bot.demo.shop.faults import Incident, Truth, arrange
from bot.demo.shop.history import History, history
from bot.demo.shop.keep import kept
from bot.demo.shop.pods import Pod, pods
from bot.demo.shop.topology import Topology
from bot.domain.report import Fault

DEFAULT_ONSET_S = 2400.0  # a fault begins 40 minutes before now unless told otherwise: somebody noticed, then asked
_QUARTER_S = 900  # lines are written in quarters of an hour, which are to hold whole steps
_DAYS_KEPT = 4  # today, yesterday, a week ago and one more
_FAMILIES_KEPT = 160  # about two days of all families, 90 MB at most


class Shop:
    """One shop in one of its possible lives. Everything in it follows from the arguments.

    `fault` is a name of `faults.FAULTS`, None or "none" for a quiet shop. `now_s` is the shop's present: nothing after it
    exists. Days are computed when they are first asked for and kept while they are used. Not for use from several
    threads at once.
    """

    def __init__(
        self,
        topology: Topology,
        seed: int,
        fault: str | None,
        now_s: float,
        onset_s: float | None = None,
        step_s: int = 15,
    ) -> None:
        if step_s < 1 or _QUARTER_S % step_s:
            raise ValueError(f"a step must divide a quarter of an hour: {step_s} s does not")
        self.topology = topology
        self.seed = seed
        self.now_s = now_s
        self.onset_s = now_s - DEFAULT_ONSET_S if onset_s is None else onset_s
        self.step_s = step_s
        quiet = fault is None or fault == "none"
        self.incident: Incident | None = None if quiet else arrange(str(fault), topology, seed, self.onset_s)
        self.past: History = history(topology, seed, self.onset_s, self.incident)
        self.pods: tuple[Pod, ...] = pods(topology, seed, self.past, self.incident, now_s)
        found = [*http.families(topology), *resources.families(topology)]
        self.families: dict[str, Family] = {f.name: f for f in found}
        self._by_sample = {sample: f for f in found for sample in f.samples}
        self._days: OrderedDict[int, Day] = OrderedDict()
        self._rows: OrderedDict[tuple[str, int], list[Row]] = OrderedDict()

    @property
    def truth(self) -> Truth | None:
        """What a right answer names; None for a quiet shop."""
        incident = self.incident
        if incident is None:
            return None
        door = (self.topology.front_door.name,) if incident.fault is Fault.TRAFFIC_SURGE else ()
        return Truth(
            services=(incident.target, *door),
            fault=incident.fault,
            onset_s=incident.onset_s,
            changes=self.past.guilty,
        )

    def named(self, sample: str | None, first: int, last: int) -> list[Row]:
        """The series whose samples carry this name (None: all there are) between two scrapes, both included."""
        if sample is None:
            return [row for family in self.families.values() for row in self.samples(family, first, last)]
        family = self._by_sample.get(sample)
        return [row for row in self.samples(family, first, last) if row.name == sample] if family else []

    def day(self, number: int) -> Day:
        """The day with this number since the epoch."""
        return kept(
            self._days,
            number,
            _DAYS_KEPT,
            lambda: day(self.topology, self.seed, number, self.step_s, self.pods, self.past, self.incident),
        )

    def rows(self, family: Family, number: int) -> list[Row]:
        """All series of a family on one day."""
        return kept(self._rows, (family.name, number), _FAMILIES_KEPT, lambda: family.build(self.day(number)))

    def samples(self, family: Family, first: int, last: int) -> list[Row]:
        """The series of a family between two scrapes (numbers since the epoch, both included); nothing lies after now.

        Series without a sample in between are left out.
        """
        per_day = DAY_S // self.step_s
        width = last - first + 1
        found: dict[tuple[str, tuple[tuple[str, str], ...]], Row] = {}
        for number in range(first // per_day, last // per_day + 1):
            low, high = max(first, number * per_day), min(last, (number + 1) * per_day - 1)
            for row in self.rows(family, number):
                part = row.values[low - number * per_day : high - number * per_day + 1]
                if np.isnan(part).all():
                    continue
                key = (row.name, tuple(sorted(row.labels.items())))
                whole = found.get(key)
                if whole is None:
                    whole = Row(name=row.name, labels=row.labels, values=np.full(width, math.nan))
                    found[key] = whole
                whole.values[low - first : high - first + 1] = part
        ended = int(self.now_s // self.step_s) - first + 1
        for row in found.values():
            row.values[max(ended, 0) :] = math.nan
        return [row for row in found.values() if not np.isnan(row.values).all()]
