"""What is worth asking the Hub again, and what will never change."""

from open_vr1.hub.calls import is_passing


def test_a_file_that_is_gone_is_no_fault_of_the_hubs_however_xet_says_it():
    assert not is_passing(OSError("I/O error: I/O error: No such file or directory (os error 2)"))
    assert is_passing(OSError("I/O error: Connection refused (os error 111)"))
