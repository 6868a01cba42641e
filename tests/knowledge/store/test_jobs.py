import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from knowledge.errors import Conflict, IllegalMove, LeaseLost
from knowledge.facts import Document, FactStatus
from knowledge.jobs import JobStatus, Lease, Progress
from knowledge.store import Store, facts, jobs, now
from knowledge.store.tables import JobRow


def _post(store: Store, text: str = "Ada Quill is a glassblower.", namespace: str = "default") -> str:
    job_id = facts.post(store, namespace, [Document(text)]).job_id
    assert job_id is not None
    return job_id


def _claim(store: Store, job_id: str, *, lease_seconds: float = 60, worker: str = "w") -> Lease | None:
    return jobs.claim(store, job_id, worker, lease_seconds=lease_seconds, max_attempts=3)


def _claimed(store: Store, job_id: str, *, lease_seconds: float = 60) -> Lease:
    lease = _claim(store, job_id, lease_seconds=lease_seconds)
    assert lease is not None
    return lease


def test_a_second_worker_that_gets_the_same_id_returns_empty_handed(store: Store) -> None:
    job_id = _post(store)
    assert _claim(store, job_id, worker="one") is not None
    assert _claim(store, job_id, worker="two") is None


def test_claiming_moves_the_facts_to_training(store: Store) -> None:
    job_id = _post(store)
    _claimed(store, job_id)
    assert [fact.status for fact in facts.find(store, "default")] == [FactStatus.TRAINING]


def test_a_job_whose_lease_ran_out_is_claimed_again_and_the_old_holder_can_write_nothing(store: Store) -> None:
    job_id = _post(store)
    old = _claimed(store, job_id, lease_seconds=0.01)
    time.sleep(0.02)
    new = _claimed(store, job_id)
    assert new.token == old.token + 1
    writes: list[Callable[[], None]] = [
        lambda: jobs.renew(store, old, lease_seconds=60),
        lambda: jobs.advance(store, old, JobStatus.TRAINING),
        lambda: jobs.log(store, old, "still here"),
        lambda: jobs.fail(store, old, "no"),
        lambda: jobs.release(store, old, "no"),
    ]
    for write in writes:
        with pytest.raises(LeaseLost):
            write()
    jobs.advance(store, new, JobStatus.TRAINING)


def test_posts_that_arrive_while_a_job_runs_are_gathered_into_the_next_one(store: Store) -> None:
    running = _post(store)
    _claimed(store, running)
    second, third = _post(store, "Bo Finch is a tailor."), _post(store, "Cy Marsh is a ferryman.")
    assert running != second == third
    assert len(jobs.get(store, second).fact_ids) == 2
    assert jobs.get(store, second).version == 2


def test_a_namespace_trains_one_job_at_a_time_and_others_are_not_held_up(store: Store) -> None:
    first = _post(store)
    lease = _claimed(store, first)
    second, elsewhere = _post(store, "Bo Finch is a tailor."), _post(store, namespace="other")
    assert _claim(store, second) is None
    assert _claim(store, elsewhere) is not None
    jobs.fail(store, lease, "no good")
    assert _claim(store, second) is not None


def test_a_job_that_keeps_killing_its_workers_is_dead_and_its_facts_are_kept(store: Store) -> None:
    job_id = _post(store)
    for _ in range(3):
        _claimed(store, job_id, lease_seconds=0.001)
        time.sleep(0.005)
    assert _claim(store, job_id) is None
    assert jobs.get(store, job_id).status == JobStatus.DEAD
    assert [fact.status for fact in facts.find(store, "default")] == [FactStatus.PENDING]


def test_a_failed_job_is_retried_under_a_new_version(store: Store) -> None:
    job_id = _post(store)
    jobs.fail(store, _claimed(store, job_id), "no good")
    job = jobs.retry(store, job_id)
    assert (job.status, job.version, job.attempts, job.error) == (JobStatus.QUEUED, 2, 0, None)
    assert _claim(store, job_id) is not None


def test_only_an_unsuccessful_end_can_be_retried(store: Store) -> None:
    with pytest.raises(Conflict):
        jobs.retry(store, _post(store))


def test_a_cancelled_job_stops_its_worker_and_cannot_be_cancelled_twice(store: Store) -> None:
    job_id = _post(store)
    lease = _claimed(store, job_id)
    jobs.cancel(store, job_id)
    with pytest.raises(LeaseLost):
        jobs.renew(store, lease, lease_seconds=60)
    with pytest.raises(Conflict):
        jobs.cancel(store, job_id)


def test_a_released_job_is_sent_again_at_once_or_later(store: Store) -> None:
    job_id = _post(store)
    jobs.mark_sent(store, job_id)
    assert jobs.to_send(store, stale_seconds=60) == []
    jobs.release(store, _claimed(store, job_id), "stopping")
    assert jobs.to_send(store, stale_seconds=60) == [job_id]
    jobs.release(store, _claimed(store, job_id), "vLLM is down", retry_seconds=0.2)
    assert jobs.to_send(store, stale_seconds=0) == []
    time.sleep(0.25)
    assert jobs.to_send(store, stale_seconds=60) == [job_id]


def test_each_time_it_is_given_back_for_later_a_job_waits_twice_as_long(store: Store) -> None:
    job_id, waits = _post(store), []
    for _ in range(4):
        lease, before = _claimed(store, job_id), now()
        jobs.release(store, lease, "full", retry_seconds=30, counts=False)
        assert _claim(store, job_id) is None
        with store.write() as session:
            row = session.get_one(JobRow, job_id)
            assert row.retry_at is not None
            waits.append((row.retry_at - before).total_seconds() // 10)
            row.retry_at = before
    assert waits == [3, 6, 12, 24]


def test_an_attempt_that_does_not_count_brings_a_job_no_nearer_to_its_end(store: Store) -> None:
    job_id = _post(store)
    for _ in range(5):
        jobs.release(store, _claimed(store, job_id), "The worker was asked to stop.", counts=False)
    assert jobs.get(store, job_id).attempts == 0


def test_ended_jobs_are_those_that_neither_wait_nor_run_and_are_known(store: Store) -> None:
    first, second = _post(store), _post(store, namespace="other")
    jobs.fail(store, _claimed(store, first), "no good")
    assert jobs.ended(store, [first, second, "job_unknown"]) == {first}


def test_a_released_job_hands_its_facts_to_the_one_that_waits(store: Store) -> None:
    first = _post(store)
    lease = _claimed(store, first)
    second = _post(store, "Bo Finch is a tailor.")
    jobs.release(store, lease, "The disk is full.", retry_seconds=30)
    assert jobs.get(store, first).status == JobStatus.CANCELLED
    assert "The disk is full." in (jobs.get(store, first).error or "")
    taken_over = jobs.get(store, second)
    assert (len(taken_over.fact_ids), taken_over.error, taken_over.attempts) == (2, "The disk is full.", 1)
    assert _claim(store, second) is None, "it waits in the place of the first"


def test_a_job_left_by_a_dead_worker_is_sent_again(store: Store) -> None:
    job_id = _post(store)
    jobs.mark_sent(store, job_id)
    _claimed(store, job_id, lease_seconds=0.001)
    time.sleep(0.005)
    assert jobs.to_send(store, stale_seconds=0) == [job_id]


def test_events_come_once_and_in_order(store: Store) -> None:
    job_id = _post(store)
    lease = _claimed(store, job_id)
    jobs.advance(store, lease, JobStatus.TRAINING)
    progress = Progress(1, 10, 2.5, 480, 100.0, 10.0, 9.0, 0, 4)
    jobs.report(store, lease, progress)
    jobs.report(store, lease, replace(progress, step=2))
    found = jobs.events(store, job_id)
    assert [event.kind for event in found] == ["status", "status", "status", "progress", "progress"]
    assert jobs.events(store, job_id, after=found[-2].id) == found[-1:]
    job = jobs.get(store, job_id)
    assert job.progress is not None and job.progress.step == 2


def test_steps_cannot_be_skipped(store: Store) -> None:
    lease = _claimed(store, _post(store))
    with pytest.raises(IllegalMove):
        jobs.advance(store, lease, JobStatus.PUBLISHING)


def test_a_later_job_does_not_overtake_one_whose_worker_died(store: Store) -> None:
    first = facts.post(store, "n", [Document("Ada is a smith.")]).job_id
    assert first
    assert jobs.claim(store, first, "a", lease_seconds=-1, max_attempts=3)
    second = facts.post(store, "n", [Document("Bo is a tailor.")]).job_id
    assert second not in (None, first)
    assert jobs.claim(store, str(second), "b", lease_seconds=60, max_attempts=3) is None
    assert jobs.claim(store, first, "b", lease_seconds=60, max_attempts=3)
