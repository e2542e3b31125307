"""
A release: one collection of a dataset, models and a Space, opened to everybody together and only after every check has passed.

    make release REPOS="datasets/open-vr1/cold-200k open-vr1/vr1-7b spaces/open-vr1/reasoner" TITLE="open-vr1 1.0" DRY_RUN=1
    make release REPOS="datasets/open-vr1/cold-200k open-vr1/vr1-7b spaces/open-vr1/reasoner" TITLE="open-vr1 1.0"

`names` says which repositories are meant, `reading` what is in them, `licenses` under which terms, `checks` what is wrong with
them, `page` what somebody reads before they type yes, `opening` makes the collection and opens everything.
"""
