"""Counts and buckets."""

from centralino.cti.web.limits import Bucket, Counts


def test_counts_end_where_the_limit_is_and_begin_again() -> None:
    counts = Counts()
    assert counts.enter("a", 2)
    assert counts.enter("a", 2)
    assert not counts.enter("a", 2)
    assert counts.enter("b", 2)
    counts.leave("a")
    assert counts.enter("a", 2)


def test_a_bucket_refills_with_time() -> None:
    bucket = Bucket(0.0)
    assert sum(bucket.take(0.0) for _ in range(100)) == 50
    assert bucket.take(0.11)
    assert not bucket.take(0.12)
