"""The smallest pipeline: run it twice, and the second time both steps come from the cache."""

from tiphys import pipeline, step


@step
def double(x: int) -> int:
    return 2 * x


@pipeline
def twice(x: int = 3) -> None:
    double(double(x))


if __name__ == "__main__":
    twice()
