"""The pipeline passes whole blocks through its steps in order, and raises the exception of a step."""

from __future__ import annotations

import threading

import pytest

from lab.programs.transfer.block_pipeline import BLOCK, BlockPipeline

LARGE = 20 * BLOCK + 7


def send_through(total: int, *steps: object) -> int:
    """Sends ``total`` bytes in numbered blocks; returns the number of blocks."""
    count = left = 0
    left = total
    with BlockPipeline(steps, total) as pipeline:  # type: ignore[arg-type]
        while left:
            block = pipeline.take()
            size = min(len(block), left)
            block[0] = count % 256
            pipeline.put(block, size)
            count += 1
            left -= size
    return count


@pytest.mark.parametrize("total", [0, 1, BLOCK, BLOCK + 1, LARGE])
def test_all_bytes_pass_every_step_in_order(total: int) -> None:
    first: list[tuple[int, int]] = []
    second: list[tuple[int, int]] = []
    count = send_through(
        total,
        lambda block: first.append((block[0], len(block))),
        lambda block: second.append((block[0], len(block))),
    )
    assert first == second
    assert [number for number, _ in first] == [number % 256 for number in range(count)]
    assert sum(size for _, size in first) == total


@pytest.mark.parametrize("total", [1, LARGE])
@pytest.mark.parametrize("failing", [0, 1])
def test_the_exception_of_a_step_is_raised(total: int, failing: int) -> None:
    def fail(_: object) -> None:
        raise OSError("the disk is full")

    steps = [lambda _: None, lambda _: None]
    steps[failing] = fail
    with pytest.raises(OSError, match="the disk is full"):
        send_through(total, *steps)


def test_an_exception_of_the_caller_is_raised_and_leaves_no_thread() -> None:
    before = threading.active_count()

    def broken() -> None:
        with BlockPipeline([lambda _: None], LARGE) as pipeline:
            pipeline.put(pipeline.take(), 1)
            raise KeyError("mine")

    with pytest.raises(KeyError):
        broken()
    assert threading.active_count() == before


def test_only_a_few_concurrent_pipelines_have_threads_and_large_blocks() -> None:
    conveyors = [BlockPipeline([lambda _: None], LARGE) for _ in range(40)]
    before = threading.active_count()
    for pipeline in conveyors:
        pipeline.__enter__()
    large = [pipeline for pipeline in conveyors if len(pipeline.take()) == BLOCK]
    assert 0 < len(large) < 40
    assert threading.active_count() - before == len(large)
    for pipeline in conveyors:
        pipeline.__exit__(None, None, None)
    assert len(BlockPipeline([lambda _: None], 1).take()) < BLOCK
    with BlockPipeline([lambda _: None], LARGE) as again:
        assert len(again.take()) == BLOCK
