"""Judge, compare and hand over finished runs; reads their folders without torch or pandas.

`judging` says whether a run is complete, valid and stable; `comparing` puts two runs side by side
or says why that cannot be done; `bundle` makes the archive that a reviewer can check.
"""
