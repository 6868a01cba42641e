import asyncio
import time

import pytest

from service.threads import in_thread


def test_a_cancelled_task_ends_only_after_its_work() -> None:
    done: list[str] = []

    def work() -> None:
        time.sleep(0.2)
        done.append("work")

    async def story() -> None:
        task = asyncio.create_task(in_thread(work))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == ["work"]

    asyncio.run(story())


def test_the_result_of_the_work_comes_back() -> None:
    assert asyncio.run(in_thread(lambda: 7)) == 7
