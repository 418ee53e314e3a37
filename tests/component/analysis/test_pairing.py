def test_ifeval_pools_instructions():
    """Imported, it looks for data on the network: what tests/unit takes as known is seen here."""
    from lm_eval.tasks.ifeval.utils import agg_inst_level_acc

    assert agg_inst_level_acc([[True, False, True], [False], [True, True]]) == 4 / 6
