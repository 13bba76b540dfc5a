"""An offline-first engine over signed, hash-chained logs. It knows no café.

Read `README.md` in this folder for the files and frames, then `op.py`, `state.py` and `replica.py`.
"""
