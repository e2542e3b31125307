"""Many runs of one recipe, each with a few keys changed, and a table and plots that compare them.

    make sweep RECIPE=recipes/vr1_tiny/ptst.yaml GRID=recipes/vr1_tiny/sweep.yaml JOBS=2

`grid.py` reads and checks, `runner.py` runs, `results.py` reads what the runs left, `compare.py` and `table.py` judge,
`plots.py` draws.
"""
