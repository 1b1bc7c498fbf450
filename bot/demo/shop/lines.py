"""The log lines of a shop: every stream, the same lines whatever window is asked for."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np

from bot.demo.shop.day import DAY_S
from bot.demo.shop.format import Event, written
from bot.demo.shop.keep import kept
from bot.demo.shop.noise import Draw, counts, draw, words
from bot.demo.shop.pods import Pod
from bot.demo.shop.shop import Shop
from bot.demo.shop.topology import Kind, Language, Service
from bot.demo.shop.voices import Voice, voices
from bot.domain.logs import LogLine

PART_S = 900  # lines are written a quarter of an hour at a time
_PART_NS = PART_S * 10**9
_PARTS_KEPT = 1000  # 15 services for 16 hours, about 150 MB at most
_VOICES_KEPT = 60  # 15 services on four days
DEPLOYER = Service(name="deployer", language=Language.GO)  # not called by anybody: it only tells what it rolled out


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """Something said once."""

    at_s: float
    service: Service
    pod: str
    level: str
    event: Event


class Lines:
    """All log lines of a shop. Quarters of an hour are written when first asked for and kept."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._parts: OrderedDict[tuple[str, int], tuple[LogLine, ...]] = OrderedDict()
        self._voices: OrderedDict[tuple[str, int], list[Voice]] = OrderedDict()
        self._pods = {s.name: [p for p in shop.pods if p.service.name == s.name] for s in shop.topology.services}
        self._moments = tuple(_moments(shop))

    def streams(self, start_s: float, end_s: float) -> list[Mapping[str, str]]:
        """The labels of every stream whose pod lives in the window, without writing a line."""
        return [labels for _, labels in self._living(start_s, end_s)]

    @property
    def services(self) -> tuple[str, ...]:
        """The names of everything that logs, sorted."""
        return tuple(sorted((*self._pods, DEPLOYER.name)))

    def between(self, service: str, start_s: float, end_s: float) -> Iterator[LogLine]:
        """The lines of one service with `start_s <= t < end_s`, oldest first; none after the shop's present."""
        first_ns, end_ns = round(start_s * 1e9), round(min(end_s, self._shop.now_s) * 1e9)
        for number in range(first_ns // _PART_NS, (end_ns - 1) // _PART_NS + 1):
            for line in self._part(service, number):
                if first_ns <= line.ts_ns < end_ns:
                    yield line

    def of_streams(
        self, start_s: float, end_s: float, wanted: Callable[[Mapping[str, str]], bool] = lambda labels: True
    ) -> list[LogLine]:
        """The lines with `start_s <= t < end_s` of all wanted streams, oldest first."""
        streams = [(service, labels) for service, labels in self._living(start_s, end_s) if wanted(labels)]
        pods = {labels["pod"] for _, labels in streams}
        services = dict.fromkeys(service for service, _ in streams)
        found = (line for service in services for line in self.between(service, start_s, end_s))
        return sorted((line for line in found if line.labels["pod"] in pods), key=attrgetter("ts_ns", "line"))

    def _living(self, start_s: float, end_s: float) -> list[tuple[str, Mapping[str, str]]]:
        """Every stream whose pod lives in the window: its service and its labels."""
        found = [pod for pods in self._pods.values() for pod in pods if pod.born_s < end_s and pod.gone_s > start_s]
        streams = [(pod.service.name, self._labels(pod.service, pod.name)) for pod in found]
        return [*streams, (DEPLOYER.name, self._labels(DEPLOYER, f"{DEPLOYER.name}-0"))]

    def _part(self, service: str, number: int) -> tuple[LogLine, ...]:
        """All lines of one service in one quarter of an hour (numbered since the epoch), oldest first."""

        def write() -> tuple[LogLine, ...]:
            found = [*self._once(service, number)]
            if service != DEPLOYER.name:
                found += self._spoken(self._shop.topology.service(service), number)
            return tuple(sorted(found, key=attrgetter("ts_ns", "line")))

        return kept(self._parts, (service, number), _PARTS_KEPT, write)

    def _labels(self, service: Service, pod: str) -> Mapping[str, str]:
        """The labels of a stream."""
        topology = self._shop.topology
        return {
            topology.dialect.log_service_label: service.name,
            "namespace": topology.namespace,
            topology.dialect.env_label: topology.env,
            "pod": pod,
            "container": service.name,
        }

    def _once(self, service: str, number: int) -> Iterator[LogLine]:
        for moment in self._moments:
            if moment.service.name == service and int(moment.at_s // PART_S) == number:
                text = written(moment.service, moment.level, moment.event, moment.at_s, draw(0, service))
                labels = self._labels(moment.service, moment.pod)
                yield LogLine(ts_ns=round(moment.at_s * 1e9), line=text, labels=labels, level=moment.level)

    def _spoken(self, service: Service, number: int) -> Iterator[LogLine]:
        shop = self._shop
        day_number = number * PART_S // DAY_S
        day = shop.day(day_number)
        low = (number * PART_S - day_number * DAY_S) // shop.step_s
        tick = day.tick[low : low + PART_S // shop.step_s]
        labels = {pod.name: self._labels(service, pod.name) for pod in self._pods[service.name]}
        for voice in self._voices_of(service, day_number):
            key = day.key("line", service.name, voice.name)
            rate = voice.rate[low : low + PART_S // shop.step_s]
            if not rate.any():
                continue
            many = counts(key, tick, rate * shop.step_s)
            for at in np.flatnonzero(many):
                start_s = float(day.at_s[low + at])
                for word in words(key ^ int(tick[at]), np.arange(int(many[at]))).tolist():
                    d = Draw(word)
                    at_s = start_s + d.share() * shop.step_s
                    pod = _speaker(self._pods[service.name], at_s, d)
                    if pod is not None:
                        text = written(service, voice.level, _event(voice, int(low + at), d), at_s, d)
                        yield LogLine(ts_ns=int(at_s * 1e9), line=text, labels=labels[pod.name], level=voice.level)

    def _voices_of(self, service: Service, number: int) -> list[Voice]:
        day = self._shop.day(number)
        return kept(self._voices, (service.name, number), _VOICES_KEPT, lambda: voices(day, service))


def _event(voice: Voice, at: int, d: Draw) -> Event:
    event = voice.say(d)
    if voice.duration_s is None:
        return event
    took_ms = round(float(voice.duration_s[at]) * d.between(0.6, 1.5) * 1000.0, 1)
    return replace(event, fields={**event.fields, "duration_ms": took_ms})


def _speaker(pods: list[Pod], at_s: float, d: Draw) -> Pod | None:
    """One of the pods that answer at this moment."""
    there = [pod for pod in pods if pod.born_s <= at_s < pod.gone_s and not _is_down(pod, at_s)]
    return d.pick(there) if there else None


def _is_down(pod: Pod, at_s: float) -> bool:
    return bool(pod.kills_s) and any(
        kill <= at_s < back for kill, back in zip(pod.kills_s, pod.starts_s[1:], strict=True)
    )


def _moments(shop: Shop) -> Iterator[_Moment]:
    """Starts of processes, roll-outs and reloads of configuration."""
    for pod in shop.pods:
        if pod.service.kind is Kind.WEB:
            for start in pod.starts_s:
                yield from _start(pod, start)
    for service, deploys in shop.past.deploys.items():
        for deploy in deploys:
            told: dict[str, str | int | float] = {
                "app": service,
                "version": deploy.version,
                "commit": deploy.commit[:7],
                "author": deploy.author,
                "env": shop.topology.env,
            }
            event = Event(message="rollout finished", fields=told)
            yield _Moment(
                at_s=deploy.at_s + 35.0, service=DEPLOYER, pod=f"{DEPLOYER.name}-0", level="info", event=event
            )
    for change in shop.past.configs:
        pods = [p for p in shop.pods if p.service.name == change.service and p.born_s <= change.at_s < p.gone_s]
        fields: dict[str, str | int | float] = {"revision": change.commit.sha[:7], "changed": change.key}
        event = Event(message="configuration reloaded", fields=fields)
        for pod in pods:
            yield _Moment(
                at_s=change.at_s + 0.2 * pod.index, service=pod.service, pod=pod.name, level="info", event=event
            )


def _start(pod: Pod, at_s: float) -> Iterator[_Moment]:
    told = {"version": pod.version, "commit": pod.commit[:7]}
    for after_s, event in (
        (0.4, Event(message=f"starting {pod.service.name}", fields=told)),
        (3.1, Event(message="listening on :8080")),
    ):
        yield _Moment(at_s=at_s + after_s, service=pod.service, pod=pod.name, level="info", event=event)
