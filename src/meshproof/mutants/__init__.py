"""Planted bugs: who judges the judge.

Each mutant is a bug somebody could have written, planted into a scratch copy of the engine (`patch`), and driven through a short
run that brings it out (`trials`, `faults`). The judge must catch every one of them by an invariant that is there for it, and must
find nothing in the same runs of the engine as it is. What a mutant is: `mutant`; all of them: `planted`; the whole: `hunt`.
"""
