from open_vr1.resume import last_checkpoint


def test_the_last_checkpoint_is_the_newest_one_that_was_written_to_its_end(tmp_path):
    for step in (9, 10, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
    assert last_checkpoint(tmp_path) is None
    for step in (9, 10):
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")


def test_a_run_that_has_not_begun_has_no_checkpoint(tmp_path):
    assert last_checkpoint(tmp_path / "nothing") is None
