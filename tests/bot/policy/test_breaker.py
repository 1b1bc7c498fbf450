"""The circuit breaker's rules, as a table and under any order of events."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bot.policy.breaker import Breaker, Outcome, Pass, Rules, State, admit, retry_in_s, settle

RULES = Rules(failures=3, window_s=10, open_s=5)


def after(*events: tuple[float, Outcome], breaker: Breaker | None = None) -> Breaker:
    """The breaker after ordinary calls that ended so, at these times."""
    now = breaker or Breaker()
    for at_s, outcome in events:
        now = settle(now, Pass.ORDINARY, outcome, at_s, RULES)
    return now


FAILED, ANSWERED, ABANDONED = Outcome.FAILED, Outcome.ANSWERED, Outcome.ABANDONED
OPEN_AT_3 = after((1, FAILED), (2, FAILED), (3, FAILED))


def test_enough_failures_in_the_window_open_it() -> None:
    assert after((1, FAILED), (2, FAILED)).state is State.CLOSED
    assert OPEN_AT_3.state is State.OPEN


def test_failures_that_are_long_past_do_not_count() -> None:
    assert after((0, FAILED), (9, FAILED), (11, FAILED)).state is State.CLOSED


def test_a_source_that_mostly_answers_is_not_cut_off() -> None:
    answers = tuple((1.0, ANSWERED) for _ in range(4))

    assert after(*answers, (2, FAILED), (2, FAILED), (2, FAILED)).state is State.CLOSED
    assert after(*answers, *((2.0, FAILED) for _ in range(4))).state is State.OPEN


def test_abandoned_calls_say_nothing() -> None:
    assert after(*((1.0, ABANDONED) for _ in range(20))) == Breaker()


def test_while_open_everything_is_refused_until_the_pause_is_over() -> None:
    assert admit(OPEN_AT_3, 7.9, RULES) == (OPEN_AT_3, None)
    assert retry_in_s(OPEN_AT_3, 7.0, RULES) == 1.0

    half_open, passed = admit(OPEN_AT_3, 8.0, RULES)

    assert (half_open.state, passed) == (State.HALF_OPEN, Pass.PROBE)


def test_one_probe_is_out_at_a_time() -> None:
    breaker, passed = admit(OPEN_AT_3, 8.0, RULES)
    let_through = [passed]
    for _ in range(20):
        breaker, passed = admit(breaker, 100.0, RULES)
        let_through.append(passed)

    assert let_through == [Pass.PROBE] + [None] * 20


def test_the_probe_decides() -> None:
    half_open, _ = admit(OPEN_AT_3, 8.0, RULES)

    assert settle(half_open, Pass.PROBE, ANSWERED, 9.0, RULES).state is State.CLOSED
    failed = settle(half_open, Pass.PROBE, FAILED, 9.0, RULES)
    assert (failed.state, failed.opened_at_s) == (State.OPEN, 9.0)
    abandoned = settle(half_open, Pass.PROBE, ABANDONED, 9.0, RULES)
    assert admit(abandoned, 9.0, RULES)[1] is Pass.PROBE


def test_late_answers_of_earlier_calls_do_not_close_it() -> None:
    half_open, _ = admit(OPEN_AT_3, 8.0, RULES)

    assert after((4, ANSWERED), breaker=OPEN_AT_3) == OPEN_AT_3
    assert after((9, ANSWERED), (9, FAILED), breaker=half_open) == half_open


class BreakerMachine(RuleBasedStateMachine):
    """Calls begin, end in any order and time passes: what must hold at every moment."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.breaker = Breaker()
        self.out: list[Pass] = []

    @rule(seconds=st.floats(min_value=0, max_value=8))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def a_call_asks(self) -> None:
        open_and_waiting = self.breaker.state is State.OPEN and retry_in_s(self.breaker, self.now_s, RULES) > 0
        self.breaker, passed = admit(self.breaker, self.now_s, RULES)
        assert not (open_and_waiting and passed)
        if passed:
            self.out.append(passed)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def a_call_ends(self, data: st.DataObject, outcome: Outcome) -> None:
        passed = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before = self.breaker
        self.breaker = settle(before, passed, outcome, self.now_s, RULES)
        if outcome is Outcome.ABANDONED and before.state is State.CLOSED:
            assert self.breaker == before

    @invariant()
    def at_most_one_probe_is_out_and_only_when_half_open(self) -> None:
        assert self.out.count(Pass.PROBE) == (1 if self.breaker.state is State.HALF_OPEN else 0)

    @invariant()
    def what_is_remembered_is_bounded_by_the_window(self) -> None:
        times = [at_s for at_s, _ in self.breaker.recent]
        assert not times or max(times) - min(times) < RULES.window_s


TestAnyOrderOfEvents = BreakerMachine.TestCase
TestAnyOrderOfEvents.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
