"""Which worker takes which case, in a clockwork of workers that begin a case when they know the next."""

import heapq
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solidmark.runner.schedule import CaseScheduling, longest_first


class Worker:
    """Of xdist's kind: it begins a case when the next is known, or when it is told that there is none."""

    def __init__(self, name, gpu="-1"):
        self.gateway = SimpleNamespace(id=name, spec=SimpleNamespace(env={"CUDA_VISIBLE_DEVICES": gpu}))
        self.shutting_down, self.queue, self.done, self.busy = False, [], [], False

    def send_runtest_some(self, indices):
        self.queue += indices

    def shutdown(self):
        self.shutting_down = True


def scheduling(weights, workers, gpu=()):
    plan = {str(i): {"weight": weight, "gpu": i in gpu} for i, weight in enumerate(weights)}
    config = SimpleNamespace(getvalue=lambda name: [f"{len(workers)}*popen"], hook=None, option=SimpleNamespace())
    made = CaseScheduling.__new__(CaseScheduling)
    made.__dict__.update(node2collection={}, node2pending={}, pending=[], collection=None, steal_requested_from_node=None)
    made.__dict__.update(numnodes=len(workers), config=config, log=print, _read=lambda: plan, _plan=None)
    for worker in workers:
        made.add_node(worker)
        made.add_node_collection(worker, [f"test[{i}]" for i in range(len(weights))])
    made.schedule()
    return made


def run(weights, workers, gpu=()):
    """When the last case ends."""
    sched, clock, now = scheduling(weights, workers, gpu), [], 0.0
    while True:
        for number, worker in enumerate(workers):
            if not worker.busy and worker.queue and (len(worker.queue) > 1 or worker.shutting_down):
                worker.busy = True
                heapq.heappush(clock, (now + weights[worker.queue[0]], number))
        if not clock:
            return now
        now, number = heapq.heappop(clock)
        worker = workers[number]
        worker.busy = False
        worker.done.append(worker.queue.pop(0))
        sched.mark_test_complete(worker, worker.done[-1])


@given(st.lists(st.floats(0.5, 40), min_size=1, max_size=40), st.integers(1, 8))
def test_every_case_is_run_once_whatever_they_take(weights, count):
    weights = sorted(weights, reverse=True)
    workers = [Worker(f"gw{n}") for n in range(count)]
    run(weights, workers)
    assert sorted(case for worker in workers for case in worker.done) == list(range(len(weights)))


@pytest.mark.parametrize("count", [2, 4, 15])
def test_a_long_case_delays_no_other(count):
    weights = [40.0, *[5.0] * 35, *[1.0] * 40]
    ideal = max(sum(weights) / count, 40.0)
    assert run(weights, [Worker(f"gw{n}") for n in range(count)]) <= 1.1 * ideal


def test_behind_the_longest_case_waits_the_shortest():
    workers = [Worker("gw0"), Worker("gw1")]
    scheduling([40.0, 5.0, 5.0, 1.0], workers)
    assert [worker.queue for worker in workers] == [[0, 3], [1, 2]]


def test_where_some_workers_have_a_gpu_each_takes_the_cases_of_its_kind():
    workers = [Worker("gw0", "GPU-a"), Worker("gw1"), Worker("gw2")]
    run([9.0, 5.0, 5.0, 5.0, 1.0], workers, gpu={0, 4})
    assert workers[0].done == [0, 4]
    assert sorted(workers[1].done + workers[2].done) == [1, 2, 3]


@pytest.mark.parametrize("gpu", ["GPU-a", "-1"])
def test_workers_of_one_kind_take_all_cases(gpu):
    workers = [Worker("gw0", gpu), Worker("gw1", gpu)]
    run([9.0, 5.0, 5.0, 1.0], workers, gpu={0, 1})
    assert sorted(workers[0].done + workers[1].done) == [0, 1, 2, 3]


def test_what_a_lost_worker_left_is_taken_by_the_others():
    workers = [Worker("gw0"), Worker("gw1")]
    sched = scheduling([9.0, 5.0, 5.0, 5.0, 1.0, 1.0], workers)
    assert sched.remove_node(workers[0]) == "test[0]"
    assert 5 in sched.pending or 5 in workers[1].queue
    sched.mark_test_pending("test[0]")
    assert sched.pending[0] == 0


def test_baselines_lead_and_the_longest_follow():
    assert longest_first([1.0, 5.0, 2.0, 5.0, 5.0], [False, False, False, True, False]) == [3, 1, 4, 2, 0]
